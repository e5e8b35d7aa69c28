use std::process::ExitCode;

fn main() -> ExitCode {
    shared::outbox::serve_relay()
}
