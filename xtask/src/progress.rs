//! What a developer sees of a long step.

use std::{
    fs::{self, File},
    io::{IsTerminal, Write, stderr},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Runs a step, saying what it is and how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("▸ {name}");
    let started = Instant::now();
    let result = work();
    if result.is_ok() {
        eprintln!("  done in {:.1} s", started.elapsed().as_secs_f64());
    }
    result
}

/// Runs a command with its output in a log file and a running clock on the screen.
///
/// # Errors
/// With the end of the log when the command fails.
pub fn logged(mut command: Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let output = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("{program} cannot be started"))?;
    let status = watch(&mut child)?;
    if !status.success() {
        bail!("{}\n\nFailed ({status}); all of it is in {}", tail(log)?, log.display());
    }
    Ok(())
}

fn watch(child: &mut Child) -> Result<std::process::ExitStatus> {
    let started = Instant::now();
    let mut shown = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            clear();
            return Ok(status);
        }
        let elapsed = started.elapsed().as_secs();
        if elapsed > shown && (stderr().is_terminal() || elapsed.is_multiple_of(15)) {
            shown = elapsed;
            let end = if stderr().is_terminal() { "\r" } else { "\n" };
            eprint!("  {elapsed} s …{end}");
            stderr().flush()?;
        }
        sleep(Duration::from_millis(50));
    }
}

fn clear() {
    if stderr().is_terminal() {
        eprint!("          \r");
    }
}

/// The end of a log: what failed is there.
fn tail(log: &Path) -> Result<String> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(25)..].join("\n"))
}
