//! The stack on LocalStack, in Docker: deployed, tested, removed.

use std::{
    fs::File,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    build,
    deploy::{self, Release, STAGE},
    http,
    progress::{logged, step},
    settings::{STACK, Settings},
    stack, tools,
};

const COMPOSE: [&str; 5] = ["compose", "--project-name", "quayside-localstack", "--file", "localstack/compose.yaml"];

/// What functions ask of other services' functions. None waits for as long as it takes to start a container.
const ASKED: [&str; 3] = ["/api/products/2", "/api/orders/1", "/api/auth/verify"];
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a command against the stack on a new LocalStack, and removes that whatever happens.
///
/// The command finds the stack as in [`stack::with_stack`], and `QUAYSIDE_EMULATOR` says what it runs on.
pub fn with_localstack(command: &[String]) -> Result<ExitCode> {
    // Ctrl-C reaches the command too; this process stays to remove the stack.
    ctrlc::set_handler(|| {})?;
    let settings = Settings::of_localstack()?;
    settings.make_home()?;
    tools::install(&settings)?;
    step("Building the functions (the first time takes minutes)", || build::for_containers(&settings))?;
    let result = start(&settings).and_then(|base_url| stack::run_against(&settings, &base_url, command));
    let removed = compose(&settings, &["down", "--volumes"]);
    deploy::forget(&settings)?;
    let code = result?;
    removed?;
    Ok(code)
}

/// Deploys the stack to a new LocalStack; answers with its base URL.
fn start(settings: &Settings) -> Result<String> {
    step("Starting LocalStack (the first time loads its image)", || compose(settings, &["up", "--detach", "--wait"]))?;
    keep_log(settings)?;
    let release = Release::of(settings)?;
    step("Deploying the stack", || release.deploy(settings))?;
    let base_url = format!("{}/_aws/execute-api/{}/{STAGE}", settings.emulator_url(), api_id(settings)?);
    step("Loading accounts and demo data", || deploy::initialise(settings, &base_url))?;
    step("Starting the functions that others ask, and waiting until every service is healthy", || {
        for path in ASKED {
            http::get(&format!("{base_url}{path}"), START_TIMEOUT);
        }
        stack::wait_healthy(&base_url)
    })?;
    Ok(base_url)
}

fn compose(settings: &Settings, arguments: &[&str]) -> Result<()> {
    let mut docker = docker_compose(settings);
    docker.args(arguments);
    logged(docker, &settings.log("docker")).context("Docker with its Compose plug-in is needed for this")
}

/// Writes what LocalStack logs where MiniStack writes its log, until the container ends.
fn keep_log(settings: &Settings) -> Result<()> {
    let log = File::create(settings.log("emulator"))?;
    let mut docker = docker_compose(settings);
    docker.args(["logs", "--follow", "--no-color"]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    docker.spawn().context("LocalStack's log cannot be read")?;
    Ok(())
}

fn docker_compose(settings: &Settings) -> Command {
    let mut docker = Command::new("docker");
    docker
        .current_dir(&settings.root)
        .args(COMPOSE)
        .env("QUAYSIDE_LOCALSTACK_PORT", settings.emulator_port.to_string());
    docker
}

/// The id of the deployed REST API.
fn api_id(settings: &Settings) -> Result<String> {
    let mut sam = settings.tool("sam");
    sam.args(["list", "stack-outputs", "--stack-name", STACK, "--output", "json"]);
    let output = sam.output()?;
    let outputs: Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let all = outputs.as_array().into_iter().flatten();
    let Some(id) = all.into_iter().find(|output| output["OutputKey"] == "ApiId") else {
        bail!("the stack says nothing of its API")
    };
    Ok(id["OutputValue"].as_str().unwrap_or_default().to_owned())
}
