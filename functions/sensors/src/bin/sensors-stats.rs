use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(sensors::http::statistics::endpoint)
}
