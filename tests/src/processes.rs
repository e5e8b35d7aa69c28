//! The processes in which the emulator runs the stack's functions, found under `/proc`.

use std::{env, fs, process::Command};

use anyhow::Result;

const NAME: &str = "AWS_LAMBDA_FUNCTION_NAME=";

/// Kills this stack's processes of a function, as a lost host would.
pub fn kill(function: &str) -> Result<()> {
    for (process, of) in running()? {
        if of == function {
            end(&process)?;
        }
    }
    Ok(())
}

/// Kills one of the stack's processes, whichever this number leads to; answers with its function.
pub fn kill_any(number: usize) -> Result<Option<String>> {
    let mut running = running()?;
    if running.is_empty() {
        return Ok(None);
    }
    let (process, function) = running.swap_remove(number % running.len());
    end(&process)?;
    Ok(Some(function))
}

fn end(process: &str) -> Result<()> {
    Command::new("kill").args(["-KILL", process]).output()?;
    Ok(())
}

/// The process ids and functions of this stack.
fn running() -> Result<Vec<(String, String)>> {
    let endpoint = format!("AWS_ENDPOINT_URL={}", env::var("AWS_ENDPOINT_URL")?);
    let mut running = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        let variables: Vec<_> = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let function = variables.iter().find_map(|variable| variable.strip_prefix(NAME));
        if let Some(function) = function.filter(|_| variables.iter().any(|variable| *variable == endpoint)) {
            running.push((process.file_name().to_string_lossy().into_owned(), function.to_owned()));
        }
    }
    Ok(running)
}
