use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(gateway::consumers::business_events::function)
}
