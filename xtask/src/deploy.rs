//! Deploying the stack to its emulator with the stock SAM CLI.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{
    build,
    progress::logged,
    settings::{STACK, Settings},
};

/// Where the functions' zips are kept between deployments, of every stack.
pub const PACKAGES: &str = "target/packages";

/// The stage of the REST API.
pub const STAGE: &str = "live";

/// The address that e-mails are from.
const MAIL_FROM: &str = "no-reply@quayside.example";

/// The origins whose pages may use the API, separated by commas.
const ORIGINS_VARIABLE: &str = "QUAYSIDE_ALLOWED_ORIGINS";

/// The operator's command line, which is built with the functions.
pub const OPERATOR: &str = "target/lambda/quayside-operator/bootstrap";

/// What is deployed: a digest of the templates, the functions and the parameters.
pub struct Release {
    digest: String,
    public_keys: String,
    allowed_origins: String,
}

impl Release {
    /// What would be deployed now.
    pub fn of(settings: &Settings) -> Result<Self> {
        let public_keys = public_keys(settings)?;
        let allowed_origins = env::var(ORIGINS_VARIABLE).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(&public_keys);
        hash.update(&allowed_origins);
        let mut files = vec![settings.root.join("template.yaml")];
        files.extend(files_in(&settings.root.join("infra"))?);
        for function in files_in(&settings.root.join("target/lambda"))? {
            files.push(function.join("bootstrap"));
        }
        for file in files.iter().filter(|file| file.is_file()) {
            hash.update(file.to_string_lossy().as_bytes());
            hash.update(Sha256::digest(fs::read(file)?));
        }
        Ok(Self { digest: format!("{:x}", hash.finalize()), public_keys, allowed_origins })
    }

    /// Whether this is what the stack's emulator runs.
    pub fn is_deployed(&self, settings: &Settings) -> bool {
        fs::read_to_string(marker(settings)).is_ok_and(|deployed| deployed == self.digest)
    }

    /// Deploys it.
    pub fn deploy(&self, settings: &Settings) -> Result<()> {
        forget(settings)?;
        let mut package = settings.tool("python");
        package.args(["localstack/package.py", PACKAGES]);
        logged(package, &settings.log("package"))?;
        let mut sam = settings.tool("sam");
        sam.args(["deploy", "--template-file", &format!("{PACKAGES}/template.yaml")])
            .args(["--stack-name", STACK, "--resolve-s3"])
            .env("SAM_CLI_POLL_DELAY", "0.3")
            .args(["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
            .args(["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"])
            .arg("--parameter-overrides")
            .arg(format!("JwtPublicKeys={}", self.public_keys))
            .arg(format!("AllowedOrigins=\"{}\"", self.allowed_origins))
            .arg(format!("Architecture={}", build::architecture()))
            .arg(format!("MailFrom={MAIL_FROM}"));
        logged(sam, &settings.log("deploy"))?;
        let mut publish = settings.tool("python");
        publish.args(["localstack/publish_api.py", STACK, STAGE]);
        if !self.allowed_origins.is_empty() {
            publish.arg("--cors");
        }
        logged(publish, &settings.log("publish"))?;
        let mut verify = settings.tool("python");
        verify.args(["localstack/verify_sender.py", MAIL_FROM]);
        logged(verify, &settings.log("verify-sender"))?;
        fs::write(marker(settings), &self.digest)?;
        Ok(())
    }
}

/// Forgets what was deployed, so that the next `up` deploys.
pub fn forget(settings: &Settings) -> Result<()> {
    match fs::remove_file(marker(settings)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn marker(settings: &Settings) -> PathBuf {
    settings.home.join("deployed")
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// [`OPERATOR`], as a command that knows this stack and no other AWS account.
pub fn operator(settings: &Settings) -> Command {
    let mut command = Command::new(settings.root.join(OPERATOR));
    command.current_dir(&settings.root);
    settings.isolate(&mut command);
    command
}

fn signing_key(settings: &Settings) -> PathBuf {
    settings.home.join("signing-key.json")
}

fn public_keys(settings: &Settings) -> Result<String> {
    let output = operator(settings).arg("signing-key").arg("--file").arg(signing_key(settings)).output()?;
    if !output.status.success() {
        bail!("No signing key: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Adds the key that is to sign next; it does once it is deployed and the stack initialised.
pub fn rotate_signing_key(settings: &Settings) -> Result<()> {
    change_signing_keys(settings, "rotate-signing-key")
}

/// Withdraws the key that signed before, once it is deployed.
pub fn retire_signing_key(settings: &Settings) -> Result<()> {
    change_signing_keys(settings, "retire-signing-key")
}

fn change_signing_keys(settings: &Settings, command: &str) -> Result<()> {
    let output = operator(settings).arg(command).arg("--file").arg(signing_key(settings)).output()?;
    if !output.status.success() {
        bail!("{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Rebuilds the read model of analytics, and says what came of it.
pub fn rebuild_analytics(settings: &Settings) -> Result<String> {
    let output = operator(settings).args(["rebuild-analytics", "--stack", STACK]).output()?;
    if !output.status.success() {
        bail!("The read model was not rebuilt: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Makes the stack ready to use, and prints how.
pub fn initialise(settings: &Settings, base_url: &str) -> Result<String> {
    let output = operator(settings)
        .args(["init", "--stack", STACK, "--base-url", base_url, "--signing-key"])
        .arg(signing_key(settings))
        .arg("--output")
        .arg(settings.credentials())
        .output()?;
    if !output.status.success() {
        bail!("The demo data was not loaded: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
