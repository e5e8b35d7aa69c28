//! What the stack under test runs on, and what that lacks.

use std::env;

/// What a test needs of an emulator, and not every one has.
#[derive(Clone, Copy, Debug)]
pub enum Feature {
    /// A function may do what its role allows, and nothing else.
    Policies,
    /// The functions are processes of this machine.
    Processes,
    /// The queue service leaves moving dead letters home to others.
    RedriveByHand,
}

impl Feature {
    /// Whether the stack's emulator has it. Says why the test is skipped if it has not.
    pub fn is_there(self) -> bool {
        if !is_localstack() {
            return true;
        }
        let reason = match self {
            Self::Policies => "LocalStack's community edition lets every function do everything",
            Self::RedriveByHand => "LocalStack moves dead letters home itself",
            Self::Processes => "LocalStack runs the functions in containers, out of this test's reach",
        };
        eprintln!("skipped: {reason}");
        false
    }
}

/// Whether the stack is on LocalStack rather than MiniStack.
pub fn is_localstack() -> bool {
    env::var("QUAYSIDE_EMULATOR").is_ok_and(|emulator| emulator == "localstack")
}
