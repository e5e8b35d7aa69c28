//! Building the functions.

use std::env::{self, consts::ARCH};

use anyhow::{Result, bail};

use crate::settings::Settings;

/// Builds every function, and the operator, into `target/lambda/<name>/bootstrap`.
///
/// With this machine's own compiler: the emulator runs them here.
pub fn functions(settings: &Settings) -> Result<()> {
    let mut build = settings.tool("cargo-lambda");
    build.args(["lambda", "build", "--release", "--compiler", "cargo"]);
    // What `cargo run` says of xtask would make some build scripts run anew.
    for (name, _) in env::vars().filter(|(name, _)| is_of_package(name)) {
        build.env_remove(name);
    }
    let status = build.status()?;
    if !status.success() {
        bail!("The functions do not build; the compiler says why above.");
    }
    Ok(())
}

fn is_of_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO"
}

/// Lambda's name for this machine's architecture.
pub fn architecture() -> &'static str {
    if ARCH == "aarch64" { "arm64" } else { ARCH }
}
