use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(notifications::http::health::endpoint)
}
