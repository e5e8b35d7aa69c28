use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(orders::consumers::product_events::function)
}
