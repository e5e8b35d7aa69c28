use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(orders::consumers::inventory_events::function)
}
