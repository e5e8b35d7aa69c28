use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(auth::http::audit::endpoint)
}
