use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(auth::http::mfa_enroll::endpoint)
}
