use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(events::consumers::all_events::function)
}
