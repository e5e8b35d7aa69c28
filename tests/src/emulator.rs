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
    /// The queue service leaves moving dead letters home to others.
    RedriveByHand,
    /// What `make` does to a developer's stack it can do to this one.
    Commands,
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
            Self::RedriveByHand => "LocalStack moves dead letters home itself",
            Self::Processes => "LocalStack runs the functions in containers, out of this test's reach",
            Self::Commands => "`make rotate-signing-key` is for the developer's stack, which is MiniStack's",
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

/// How many requests at once the emulator can take, unless it makes the others wait by itself.
///
/// Each request that finds its function busy starts a container on LocalStack: two hundred at once are two
/// hundred containers, which a small machine does not finish starting.
pub fn most_at_once() -> Option<usize> {
    is_localstack().then_some(8)
}
