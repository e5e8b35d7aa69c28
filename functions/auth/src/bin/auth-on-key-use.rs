use std::process::ExitCode;

fn main() -> ExitCode {
    shared::runtime::run(auth::consumers::key_use::function)
}
