//! Following the functions' logs.

use std::os::unix::process::CommandExt;

use anyhow::Result;

use crate::{
    emulator,
    settings::{STACK, Settings},
};

/// Becomes a process that prints what the functions log, as it comes, until interrupted.
pub fn follow(settings: &Settings, service: Option<&str>) -> Result<()> {
    emulator::must_run(settings)?;
    let mut command = settings.tool("python");
    command.args(["localstack/logs.py", STACK]).args(service);
    Err(command.exec().into())
}
