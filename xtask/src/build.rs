//! Building the functions.

use std::{
    env::{
        self,
        consts::{ARCH, OS},
    },
    ffi::OsString,
    fs,
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::settings::Settings;

/// The services' crates, one folder each.
const SERVICES: &str = "functions";

/// Builds every function, and the operator, into `target/lambda/<name>/bootstrap`.
///
/// With this machine's own compiler: the emulator runs them here.
pub fn functions(settings: &Settings) -> Result<()> {
    native(settings, &[])
}

/// Builds the functions of one service for this machine.
pub fn service(settings: &Settings, service: &str) -> Result<()> {
    native(settings, &["--package", service])
}

/// Builds the operator for this machine.
pub fn operator(settings: &Settings) -> Result<()> {
    native(settings, &["--package", "quayside-operator"])
}

/// Builds the functions of one service, or of all, for one of Lambda's architectures and Amazon Linux 2023's C
/// library, wherever this runs.
///
/// With zig, which has the libraries and the linker of every machine.
pub fn for_lambda(settings: &Settings, architecture: &str, service: Option<&str>) -> Result<()> {
    let mut build = cargo_lambda(settings);
    let target = format!("--{}", architecture.replace('_', "-"));
    build.args([&*target, "--compiler", "cargo-zigbuild"]).env("PATH", path_with_tools(settings)?);
    match service {
        Some(service) => build.args(["--package", service]),
        None => build.args(services(settings)?.iter().flat_map(|service| ["--package", service])),
    };
    run(build)
}

/// Builds every function so that it runs in Amazon Linux 2023 in a container of this machine, and the operator.
///
/// With this machine's own compiler where that is one for Linux, and no newer one than Amazon Linux's.
pub fn for_containers(settings: &Settings) -> Result<()> {
    if OS == "linux" {
        functions(settings)?;
        if check(settings, architecture()).is_ok() {
            return Ok(());
        }
    } else {
        operator(settings)?;
    }
    for_lambda(settings, architecture(), None)?;
    check(settings, architecture()).map(drop)
}

/// Checks that the functions in `target/lambda` run on Lambda, on this architecture; says for what they are.
pub fn check(settings: &Settings, architecture: &str) -> Result<String> {
    let mut check = settings.tool("python");
    let output = check.args(["localstack/check_binaries.py", architecture]).output()?;
    if !output.status.success() {
        bail!("What was built does not run on Lambda:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn native(settings: &Settings, arguments: &[&str]) -> Result<()> {
    let mut build = cargo_lambda(settings);
    build.args(["--compiler", "cargo"]).args(arguments);
    run(build)
}

fn cargo_lambda(settings: &Settings) -> Command {
    let mut build = settings.tool("cargo-lambda");
    build.args(["lambda", "build", "--release"]);
    // What `cargo run` says of xtask would make some build scripts run anew.
    for (name, _) in env::vars().filter(|(name, _)| is_of_package(name)) {
        build.env_remove(name);
    }
    build
}

fn run(mut build: Command) -> Result<()> {
    if !build.status()?.success() {
        bail!("The functions do not build; the compiler says why above.");
    }
    Ok(())
}

fn is_of_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO"
}

/// The names of the services.
pub fn services(settings: &Settings) -> Result<Vec<String>> {
    let entries = fs::read_dir(settings.root.join(SERVICES)).context("the services' folder cannot be read")?;
    let mut names =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The search path with the tools first, where zig is.
fn path_with_tools(settings: &Settings) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths([settings.tools.join("bin")].into_iter().chain(env::split_paths(&path)))?)
}

/// Lambda's name for this machine's architecture.
pub fn architecture() -> &'static str {
    if ARCH == "aarch64" { "arm64" } else { ARCH }
}
