use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(orders::expiry::function)
}
