use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(payments::consumers::order_events::function)
}
