use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(analytics::http::health::endpoint)
}
