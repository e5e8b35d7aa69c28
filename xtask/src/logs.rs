//! Following the functions' logs.

use std::os::unix::process::CommandExt;

use anyhow::{Result, ensure};

use crate::{
    build, emulator,
    settings::{STACK, Settings},
};

/// Becomes a process that prints what the functions log, as it comes, until interrupted.
pub fn follow(settings: &Settings, service: Option<&str>) -> Result<()> {
    emulator::must_run(settings)?;
    let services = build::services(settings)?;
    ensure!(
        service.is_none_or(|service| services.iter().any(|known| known == service)),
        "There is no such service; there are {}.",
        services.join(", ")
    );
    let mut command = settings.tool("python");
    command.args(["localstack/logs.py", STACK]).args(service);
    Err(command.exec().into())
}
