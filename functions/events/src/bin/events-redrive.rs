use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(events::http::redrive::endpoint)
}
