use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(notifications::consumers::domain_events::function)
}
