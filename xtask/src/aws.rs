//! Shipping: to AWS, with the account that the AWS CLI would work on, and a service alone to any stack.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::{
    build, deploy, emulator,
    progress::{logged, step},
    settings::{STACK, Settings},
    tools,
};

/// Where the zips for AWS are kept between deployments.
const PACKAGES: &str = "target/packages-aws";

/// Builds every function for arm64, and checks that Lambda can run what came of it.
pub fn build_for_arm64(settings: &Settings) -> Result<()> {
    tools::install(settings)?;
    build(settings, "arm64")
}

fn build(settings: &Settings, architecture: &str) -> Result<()> {
    let doing = format!("Building the functions for {architecture} (the first time takes minutes)");
    step(&doing, || build::for_lambda(settings, architecture, None))?;
    println!("{}", build::check(settings, architecture)?);
    Ok(())
}

/// Deploys the whole stack of one of samconfig.toml's environments.
///
/// What was rolled back is deployed again only as another attempt.
pub fn deploy(settings: &Settings, environment: &str, attempt: &str) -> Result<ExitCode> {
    tools::install(settings)?;
    build(settings, &architecture(settings, "environment", environment)?)?;
    let mut package = settings.tool("python");
    package.args(["localstack/package.py", PACKAGES, "--aws", environment, "--attempt", attempt]);
    step("Packing the functions", || logged(package, &settings.log("package")))?;
    let mut sam = settings.tool_for_aws("sam");
    sam.args(["deploy", "--config-env", environment, "--config-file"])
        .arg(settings.root.join("samconfig.toml"))
        .args(["--template-file", &format!("{PACKAGES}/template.yaml")]);
    finish(sam)
}

/// Ships one service's functions alone: to the local stack, or to one on AWS.
pub fn deploy_service(settings: &Settings, service: &str, stack: Option<&str>) -> Result<ExitCode> {
    tools::install(settings)?;
    let (mut python, packages) = if let Some(stack) = stack {
        let architecture = architecture(settings, "stack", stack)?;
        step(&format!("Building the service for {architecture}"), || {
            build::for_lambda(settings, &architecture, Some(service))
        })?;
        (settings.tool_for_aws("python"), PACKAGES)
    } else {
        emulator::must_run(settings)?;
        step("Building the service", || build::service(settings, service))?;
        (settings.tool("python"), deploy::PACKAGES)
    };
    python.args(["localstack/deploy_service.py", stack.unwrap_or(STACK), service, packages]);
    finish(python)
}

/// Lambda's name for what the functions of an environment, or of a deployed stack, run on.
fn architecture(settings: &Settings, kind: &str, name: &str) -> Result<String> {
    let mut python = settings.tool_for_aws("python");
    let output = python.args(["localstack/architecture.py", kind, name]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Runs the operator's command line, built for this machine, on AWS.
pub fn operator(settings: &Settings, arguments: &[String]) -> Result<ExitCode> {
    tools::install(settings)?;
    build::operator(settings)?;
    let mut operator = Command::new(settings.root.join(deploy::OPERATOR));
    operator.args(arguments);
    finish(operator)
}

fn finish(mut command: Command) -> Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{program} cannot be started"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
