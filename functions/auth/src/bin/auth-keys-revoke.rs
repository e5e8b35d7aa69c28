use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(auth::http::revoke_key::endpoint)
}
