use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(notifications::consumers::delivery_requests::function)
}
