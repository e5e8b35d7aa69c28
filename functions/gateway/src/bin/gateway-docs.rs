use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(gateway::http::docs::endpoint)
}
