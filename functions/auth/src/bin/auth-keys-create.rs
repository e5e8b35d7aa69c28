use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(auth::http::create_key::endpoint)
}
