use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(orders::consumers::payment_events::function)
}
