use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(gateway::http::reset_breaker::endpoint)
}
