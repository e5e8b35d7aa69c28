use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(auth::consumers::user_events::function)
}
