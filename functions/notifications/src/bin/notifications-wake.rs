use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(notifications::wake::function)
}
