use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(analytics::consumers::payment_events::function)
}
