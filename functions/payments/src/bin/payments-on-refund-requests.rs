use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(payments::consumers::refund_requests::function)
}
