use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(payments::http::health::endpoint)
}
