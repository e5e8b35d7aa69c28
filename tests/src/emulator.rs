//! What the stack under test runs on, and what that lacks.

use std::{
    env,
    io::{self, Write},
    thread,
};

/// What a test needs of an emulator, and not every one has.
#[derive(Clone, Copy, Debug)]
pub enum Feature {
    /// A function may do what its role allows, and nothing else.
    Policies,
    /// The functions are processes of this machine.
    Processes,
}

impl Feature {
    /// Whether the stack's emulator has it. Says why the test is skipped if it has not, past the test harness, which
    /// keeps what a test prints to itself while it passes.
    pub fn is_there(self) -> bool {
        if !is_localstack() {
            return true;
        }
        let reason = match self {
            Self::Policies => "LocalStack's community edition lets every function do everything",
            Self::Processes => "LocalStack runs the functions in containers, out of this test's reach",
        };
        let test = thread::current().name().unwrap_or_default().to_owned();
        writeln!(io::stderr(), "{test} is skipped: {reason}").unwrap_or_default();
        false
    }
}

/// Whether the stack is on LocalStack rather than MiniStack.
pub fn is_localstack() -> bool {
    env::var("QUAYSIDE_EMULATOR").is_ok_and(|emulator| emulator == "localstack")
}
