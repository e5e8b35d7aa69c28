use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(orders::consumers::user_events::function)
}
