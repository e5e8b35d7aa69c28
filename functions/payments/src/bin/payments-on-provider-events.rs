use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(payments::consumers::provider_events::function)
}
