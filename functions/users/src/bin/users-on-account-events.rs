use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(users::consumers::account_events::function)
}
