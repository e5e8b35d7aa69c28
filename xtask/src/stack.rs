//! A local stack from nothing to healthy, and back.

use std::{
    env,
    fs::{self, File, TryLockError},
    process::{Command, ExitCode},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    aws, build,
    deploy::{self, Release},
    emulator, http,
    progress::step,
    settings::{HOME_VARIABLE, STACK, Settings},
    tools,
};

const HEALTH_TIMEOUT: Duration = Duration::from_secs(60);

/// Builds, starts, deploys and initialises whatever is not yet.
pub fn up(settings: &Settings) -> Result<()> {
    let _lock = lock(settings)?;
    if emulator::running(settings).is_none() {
        emulator::check_free_ports(settings)?;
    }
    prepare(settings)?;
    let usage = start(settings)?;
    println!("{usage}");
    Ok(())
}

/// Lets a new key sign the access tokens. Those that are out stay good.
pub fn rotate_signing_key(settings: &Settings) -> Result<()> {
    let _lock = lock(settings)?;
    emulator::must_run(settings)?;
    step("Making a new signing key", || deploy::rotate_signing_key(settings))?;
    start(settings)?;
    println!("The new key signs within a minute; tokens of the old one stay good.");
    Ok(())
}

/// Lets no token be good that the key before the present one has signed.
pub fn retire_signing_key(settings: &Settings) -> Result<()> {
    let _lock = lock(settings)?;
    emulator::must_run(settings)?;
    step("Withdrawing the key before", || deploy::retire_signing_key(settings))?;
    start(settings)?;
    println!("Only tokens of the present key are good; whoever has another signs in anew or refreshes it.");
    Ok(())
}

/// Makes the read model of analytics anew, while the old one goes on answering.
pub fn rebuild_analytics(settings: &Settings) -> Result<()> {
    emulator::must_run(settings)?;
    print!("{}", step("Rebuilding the read model of analytics", || deploy::rebuild_analytics(settings))?);
    Ok(())
}

/// Installs the tools, and builds every function.
pub fn prepare(settings: &Settings) -> Result<()> {
    tools::check_compiler()?;
    tools::install(settings)?;
    step("Building the functions (the first time takes minutes)", || build::functions(settings))
}

fn start(settings: &Settings) -> Result<String> {
    settings.make_home()?;
    if emulator::died(settings) {
        eprintln!("  The emulator did not end in order; what it had not saved is lost. Deploying anew.");
        deploy::forget(settings)?;
    }
    if emulator::running(settings).is_none() {
        step("Starting the emulator", || emulator::start(settings))?;
        settings.remember_ports()?;
    }
    settings.check_ports()?;
    let release = Release::of(settings)?;
    if !release.is_deployed(settings) {
        step("Deploying the stack", || release.deploy(settings))?;
    }
    let usage = step("Loading accounts and demo data", || deploy::initialise(settings, &settings.api_url()))?;
    step("Waiting until every service is healthy", || wait_healthy(&settings.api_url()))?;
    Ok(usage)
}

fn health(base_url: &str) -> Option<Value> {
    http::get(&format!("{base_url}/health"), Duration::from_secs(5))
}

/// Waits until the stack at this base URL says that every service is healthy.
pub fn wait_healthy(base_url: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let health = health(base_url);
        if health.as_ref().is_some_and(|health| health["overall_status"] == "healthy") {
            return Ok(());
        }
        if started.elapsed() > HEALTH_TIMEOUT {
            bail!("Not healthy after {HEALTH_TIMEOUT:?}: {}", health.unwrap_or_default());
        }
        sleep(Duration::from_millis(250));
    }
}

/// Stops the stack; its data stays.
pub fn down(settings: &Settings) -> Result<()> {
    let _lock = lock(settings)?;
    if emulator::running(settings).is_none() {
        println!("Nothing is running.");
        return Ok(());
    }
    step("Stopping the emulator", || emulator::stop(settings))
}

/// Stops the stack and forgets its data, its keys and its accounts.
pub fn reset(settings: &Settings) -> Result<()> {
    let _lock = lock(settings)?;
    emulator::kill(settings)?;
    forget_data(settings)?;
    remove(fs::remove_dir_all(settings.home.join("logs")))?;
    println!("The local stack's data is gone; `make up` begins anew.");
    Ok(())
}

fn forget_data(settings: &Settings) -> Result<()> {
    for name in ["state", "s3", "tmp"] {
        remove(fs::remove_dir_all(settings.home.join(name)))?;
    }
    for name in ["deployed", "local.json", "signing-key.json", "emulator.pid", "ports", "secrets"] {
        remove(fs::remove_file(settings.home.join(name)))?;
    }
    Ok(())
}

fn remove(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says what is running, and how it is; succeeds only when all is well.
pub fn status(settings: &Settings) -> Result<ExitCode> {
    let Some(pid) = emulator::running(settings) else {
        println!("The local stack is down. Start it with: make up");
        return Ok(ExitCode::FAILURE);
    };
    settings.check_ports()?;
    println!("emulator   {} (process {pid})", settings.emulator_url());
    println!("API        {}", settings.api_url());
    let Some(health) = health(&settings.api_url()).filter(|health| health["overall_status"].is_string()) else {
        println!("           does not answer; see `make logs`");
        return Ok(ExitCode::FAILURE);
    };
    println!("overall    {}", text(&health["overall_status"]));
    for (name, service) in health["services"].as_object().into_iter().flatten() {
        let breaker = text(&health["circuit_breakers"][name]);
        println!("  {name:<10} {:<10} breaker {breaker}", text(&service["status"]));
    }
    Ok(if health["overall_status"] == "healthy" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

/// Runs a command against a new stack of its own, and stops that stack whatever happens.
///
/// The command finds the stack by `QUAYSIDE_BASE_URL`, `QUAYSIDE_LOCAL_JSON` and the AWS variables, and what
/// `make` does to a stack by `QUAYSIDE_XTASK`.
pub fn with_stack(command: &[String]) -> Result<ExitCode> {
    // Ctrl-C reaches the command too; this process stays to stop the stack.
    ctrlc::set_handler(|| {})?;
    let settings = Settings::of_run()?;
    prepare(&settings)?;
    let result = start(&settings).and_then(|_| run_against(&settings, &settings.api_url(), command));
    let stopped = emulator::kill(&settings);
    let code = result?;
    stopped?;
    if code == ExitCode::SUCCESS {
        remove(fs::remove_dir_all(&settings.home))?;
    } else {
        forget_data(&settings)?;
        eprintln!("The stack's logs stay in {}", settings.home.join("logs").display());
    }
    Ok(code)
}

/// Runs a command against the local stack that is running, as [`with_stack`] does.
pub fn against(settings: &Settings, command: &[String]) -> Result<ExitCode> {
    emulator::must_run(settings)?;
    run_against(settings, &settings.api_url(), command)
}

/// Runs an operator's command on the local stack, or on one on AWS.
pub fn operate(settings: &Settings, stack: Option<&str>, arguments: &[&str]) -> Result<ExitCode> {
    let on = ["--stack", stack.unwrap_or(STACK)];
    if stack.is_some() {
        let arguments = arguments.iter().chain(&on).map(|&argument| argument.to_owned());
        return aws::operator(settings, &arguments.collect::<Vec<_>>());
    }
    emulator::must_run(settings)?;
    let status = deploy::operator(settings).args(arguments).args(on).status();
    let status = status.with_context(|| format!("{} cannot be started", deploy::OPERATOR))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a command that finds the stack by its environment.
pub fn run_against(settings: &Settings, base_url: &str, command: &[String]) -> Result<ExitCode> {
    let [program, arguments @ ..] = command else { bail!("which command?") };
    let mut command = Command::new(program);
    settings.isolate(&mut command);
    let status = command
        .args(arguments)
        .env("QUAYSIDE_BASE_URL", base_url)
        .env("QUAYSIDE_EMULATOR", settings.emulator)
        .env("QUAYSIDE_LOCAL_JSON", settings.credentials())
        .env("QUAYSIDE_XTASK", env::current_exe()?)
        .env(HOME_VARIABLE, &settings.home)
        .status()
        .with_context(|| format!("{program} cannot be started"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Keeps two runs from getting in each other's way; released when the process ends.
fn lock(settings: &Settings) -> Result<File> {
    settings.make_home()?;
    let file = File::create(settings.home.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("Another `make up` is at work; wait until it has finished."),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
