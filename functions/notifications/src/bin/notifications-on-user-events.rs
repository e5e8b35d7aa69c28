use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(notifications::consumers::user_events::function)
}
