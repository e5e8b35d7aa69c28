//! The API does what its document says: Schemathesis makes requests of `docs/openapi.json`, good ones and
//! bad ones, and holds every answer against it. `tests/schemathesis.toml` says how.
//!
//! It guesses passwords until its address may not sign in any more, so it has a stack of its own.

use std::{process::Command, thread};

use anyhow::{Context, Result, anyhow, ensure};
use e2e::{Session, Stack};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Makes its requests as one caller.
fn schemathesis(caller: &Session, arguments: &[&str]) -> Result<()> {
    let output = Command::new(format!("{ROOT}/.quayside/contract/bin/schemathesis"))
        .args(["--config-file", "tests/schemathesis.toml", "run", "docs/openapi.json"])
        .args(arguments)
        .env("QUAYSIDE_TOKEN", caller.token().context("not signed in")?)
        .current_dir(ROOT)
        .output()
        .context("Schemathesis is not installed: make test-tools")?;
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    ensure!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn every_answer_is_as_documented() -> Result<()> {
    let stack = Stack::from_env()?;
    let (admin, (customer, _)) = (stack.demo("admin").await?, stack.newcomer().await?);
    // The admin's own id is among the first that are tried, and without an account there is no admin.
    let as_admin = ["--seed", "1", "--exclude-operation-id", "users-delete"];
    let half = "^(auth|users|sensors)$";
    thread::scope(|scope| {
        let runs = [
            scope.spawn(|| schemathesis(&admin, &[&as_admin[..], &["--include-tag-regex", half]].concat())),
            scope.spawn(|| schemathesis(&admin, &[&as_admin[..], &["--exclude-tag-regex", half]].concat())),
            scope.spawn(|| schemathesis(&customer, &["--seed", "2", "--phases", "examples,fuzzing"])),
        ];
        runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow!("a run panicked"))?)
    })
}
