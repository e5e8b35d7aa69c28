//! `make test-resilience`: stops each service of the running stack in turn, and shows what goes on
//! without it.

use std::process::ExitCode;

use anyhow::Result;
use e2e::{Stack, resilience};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let report = resilience::run(&Stack::from_env()?).await?;
    println!("\n{report}");
    let wrongs = report.wrongs();
    for wrong in &wrongs {
        eprintln!("{wrong}");
    }
    Ok(if wrongs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
