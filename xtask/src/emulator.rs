//! The embedded emulator's process.

use std::{
    env,
    fs::{self, File},
    io::ErrorKind,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    http,
    settings::{API_PORT_VARIABLE, EMULATOR_PORT_VARIABLE, REGION, STACK, Settings},
};

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long saving the state takes at most: of a table with a hundred thousand items, half a minute.
const SAVED: Duration = Duration::from_secs(180);
/// How long an emulator whose state is not wanted any more may take to end its functions.
const ORDERLY: Duration = Duration::from_secs(30);

const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH"];

fn pid_file(settings: &Settings) -> PathBuf {
    settings.home.join("emulator.pid")
}

/// Says how to start the stack unless it runs.
pub fn must_run(settings: &Settings) -> Result<()> {
    if running(settings).is_none() {
        bail!("The local stack is down. Start it with: make up");
    }
    Ok(())
}

/// The process id of this stack's emulator, if it runs.
pub fn running(settings: &Settings) -> Option<u32> {
    let pid = fs::read_to_string(pid_file(settings)).ok()?.trim().parse().ok()?;
    is_emulator(pid).then_some(pid)
}

/// Whether the emulator ended without saving its state: killed, or the machine went down.
pub fn died(settings: &Settings) -> bool {
    pid_file(settings).exists() && running(settings).is_none()
}

fn is_emulator(pid: u32) -> bool {
    command_line(pid).is_some_and(|command| String::from_utf8_lossy(&command).contains("emulator.py"))
}

/// Linux has it in `/proc`, also where there is no `ps`; macOS has `ps`.
fn command_line(pid: u32) -> Option<Vec<u8>> {
    if Path::new("/proc/self").exists() {
        return fs::read(format!("/proc/{pid}/cmdline")).ok();
    }
    Some(Command::new("ps").args(["-p", &pid.to_string(), "-o", "command="]).output().ok()?.stdout)
}

/// Starts the emulator on its two ports of 127.0.0.1, with the state of its last stop.
pub fn start(settings: &Settings) -> Result<()> {
    check_free_ports(settings)?;
    fs::create_dir_all(settings.home.join("logs"))?;
    let log = settings.log("emulator");
    let output = File::create(&log)?;
    let temporary = settings.home.join("tmp");
    match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&temporary)?,
    }
    let mut command = settings.tool("python");
    // The functions inherit this environment: they and the emulator get nothing of the developer's.
    command
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((*name, env::var_os(name)?))))
        .envs(settings.environment())
        .arg("localstack/emulator.py")
        .env("TMPDIR", temporary)
        .env("QUAYSIDE_EMULATOR_PORT", settings.emulator_port.to_string())
        .env("QUAYSIDE_API_PORT", settings.api_port.to_string())
        .env("QUAYSIDE_STACK", STACK)
        .env("GATEWAY_PORT", settings.emulator_port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("AUTH", "true")
        .env("IOT_MTLS_ENABLED", "0")
        .env("MINISTACK_REGION", REGION)
        .env("PERSIST_STATE", "1")
        .env("STATE_DIR", settings.home.join("state"))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    let mut child = command.spawn().context("the emulator cannot be started")?;
    fs::write(pid_file(settings), child.id().to_string())?;
    let started = Instant::now();
    while http::get(&format!("{}/_ministack/health", settings.emulator_url()), Duration::from_secs(1)).is_none() {
        if child.try_wait()?.is_some() || started.elapsed() > START_TIMEOUT {
            let text = fs::read_to_string(&log).unwrap_or_default();
            bail!("The emulator does not start:\n{text}");
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Ends the emulator, whose state is not wanted any more, even if it hangs.
pub fn kill(settings: &Settings) -> Result<()> {
    let Some(pid) = running(settings) else { return Ok(()) };
    if stop_within(settings, ORDERLY).is_err() {
        signal(pid, "KILL")?;
        sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Stops the emulator and waits until it has saved its state.
pub fn stop(settings: &Settings) -> Result<()> {
    stop_within(settings, SAVED)
}

fn stop_within(settings: &Settings, timeout: Duration) -> Result<()> {
    let Some(pid) = running(settings) else { return Ok(()) };
    signal(pid, "TERM")?;
    let started = Instant::now();
    while is_emulator(pid) {
        if started.elapsed() > timeout {
            bail!("The emulator (process {pid}) does not stop; its state may not be saved.");
        }
        sleep(Duration::from_millis(100));
    }
    fs::remove_file(pid_file(settings))?;
    Ok(())
}

fn signal(pid: u32, name: &str) -> Result<()> {
    Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    Ok(())
}

/// Says which of the two ports cannot be had, and how to choose another.
pub fn check_free_ports(settings: &Settings) -> Result<()> {
    if settings.emulator_port == settings.api_port {
        bail!("{EMULATOR_PORT_VARIABLE} and {API_PORT_VARIABLE} must be two ports");
    }
    check_port(settings.emulator_port, EMULATOR_PORT_VARIABLE)?;
    check_port(settings.api_port, API_PORT_VARIABLE)
}

fn check_port(port: u16, variable: &str) -> Result<()> {
    if TcpListener::bind(("127.0.0.1", port)).is_err() {
        bail!("Port {port} is taken by another program. Stop it, or choose another port: {variable}=… make up");
    }
    Ok(())
}
