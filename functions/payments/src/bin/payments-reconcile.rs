use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(payments::reconcile::function)
}
