use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(sensors::consumers::reading_events::function)
}
