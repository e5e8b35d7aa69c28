use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(events::http::health::endpoint)
}
