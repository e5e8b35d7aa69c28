use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(products::consumers::order_events::function)
}
