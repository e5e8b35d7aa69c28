//! What the functions of the running stack find in their environment.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use samples::Function;
use serde_json::Value;

use crate::settings::{STACK, Settings, make_private};

/// By function and variable.
pub type Environments = BTreeMap<String, BTreeMap<String, String>>;

/// The variable by which cargo-lambda tells a function its name.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// Asks the running stack, which has them of the template, for those of these functions; what is not deployed
/// yet is said and left out of the functions.
pub fn deployed(settings: &Settings, functions: &mut Vec<Function>) -> Result<Environments> {
    let mut python = settings.tool("python");
    let output = python.args(["localstack/environment.py", STACK]).output().context("Python cannot be started")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let environments: Environments = read(&serde_json::from_slice(&output.stdout)?);
    functions.retain(|Function { name, .. }| {
        let deployed = environments.contains_key(name);
        if !deployed {
            eprintln!("{name} is left out: it is not on the running stack yet. See: make up");
        }
        deployed
    });
    Ok(environments)
}

fn read(answer: &Value) -> Environments {
    let variables = |of: &Value| {
        let variables = of.as_object().into_iter().flatten();
        variables.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    };
    answer.as_object().into_iter().flatten().map(|(name, of)| (name.clone(), variables(of))).collect()
}

/// Where what is generated for `make watch` is kept.
pub fn folder(settings: &Settings) -> PathBuf {
    settings.home.join("watch")
}

/// Keeps them in a file, for [`become_function`].
pub fn keep(settings: &Settings, environments: &Environments) -> Result<PathBuf> {
    make_private(&folder(settings))?;
    let file = folder(settings).join("environment.json");
    fs::write(&file, serde_json::to_string(environments)?)?;
    Ok(file)
}

/// Becomes a function that Cargo has built, in the environment that this file has for one of its name.
///
/// Cargo runs it by this as its runner: cargo-lambda itself gives all functions one environment.
pub fn become_function(file: &Path, command: &[String]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("which program?") };
    let function = env::var(FUNCTION_NAME).with_context(|| format!("{FUNCTION_NAME} is not set"))?;
    let environments = read(&serde_json::from_str(&fs::read_to_string(file)?)?);
    let environment = environments.get(&function).with_context(|| format!("{function} is not deployed"))?;
    let error = Command::new(program).args(arguments).envs(environment).exec();
    Err(error).with_context(|| format!("{program} cannot be started"))
}
