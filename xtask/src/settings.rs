//! Where a local stack lives, and the environment its tools run in.

use std::{
    env, fs,
    hash::{BuildHasher, Hasher, RandomState},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The stack's name, which every resource's name begins with.
pub const STACK: &str = "local";
const LOOPBACK: &str = "localhost,127.0.0.1";
pub const REGION: &str = "us-east-1";
pub const API_PORT_VARIABLE: &str = "QUAYSIDE_API_PORT";
pub const EMULATOR_PORT_VARIABLE: &str = "QUAYSIDE_EMULATOR_PORT";

/// The file that keeps them.
const PORTS: &str = "ports";

/// Another folder than `.quayside` for the developer's stack: how a command run against a stack finds that one.
pub const HOME_VARIABLE: &str = "QUAYSIDE_HOME";

/// One local stack.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The repository.
    pub root: PathBuf,
    /// The tools' private environment, shared by all stacks.
    pub tools: PathBuf,
    /// What belongs to this stack: state, logs, credentials.
    pub home: PathBuf,
    pub api_port: u16,
    pub emulator_port: u16,
}

impl Settings {
    /// The developer's own stack, in `.quayside` unless [`HOME_VARIABLE`] says otherwise.
    pub fn of_developer() -> Result<Self> {
        let root = root()?;
        let home = env::var_os(HOME_VARIABLE).map_or_else(|| root.join(".quayside"), PathBuf::from);
        let (api, emulator) = remembered_ports(&home).unwrap_or((8000, 4566));
        Ok(Self {
            tools: root.join(".quayside/tools"),
            home,
            api_port: port(API_PORT_VARIABLE, api)?,
            emulator_port: port(EMULATOR_PORT_VARIABLE, emulator)?,
            root,
        })
    }

    /// Keeps the ports for the commands that come after, until the stack is reset.
    pub fn remember_ports(&self) -> Result<()> {
        Ok(fs::write(self.home.join(PORTS), format!("{} {}", self.api_port, self.emulator_port))?)
    }

    /// Makes the stack's folder, which holds keys and passwords, for its owner alone.
    pub fn make_home(&self) -> Result<()> {
        make_private(&self.home)
    }

    /// Whether the running stack is on these ports.
    pub fn check_ports(&self) -> Result<()> {
        match remembered_ports(&self.home) {
            Some((api, emulator)) if (api, emulator) != (self.api_port, self.emulator_port) => {
                bail!("The stack runs on the ports {api} and {emulator}. To move it: make down, then make up.")
            }
            _ => Ok(()),
        }
    }

    /// A stack on free ports for one run of a command, in `target`.
    pub fn of_run() -> Result<Self> {
        let root = root()?;
        let (api, emulator) = (free_port()?, free_port()?);
        Ok(Self {
            tools: root.join(".quayside/tools"),
            home: root.join("target/stacks").join(api.to_string()),
            api_port: api,
            emulator_port: emulator,
            root,
        })
    }

    pub fn api_url(&self) -> String {
        format!("http://localhost:{}", self.api_port)
    }

    pub fn emulator_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.emulator_port)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    pub fn credentials(&self) -> PathBuf {
        self.home.join("local.json")
    }

    /// One of the installed tools, as a command that knows this stack and no other AWS account.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.tools.join("bin").join(name));
        command.current_dir(&self.root);
        self.isolate(&mut command);
        command
    }

    /// One of the installed tools, with the AWS account that the developer's environment names.
    pub fn tool_for_aws(&self, name: &str) -> Command {
        let mut command = Command::new(self.tools.join("bin").join(name));
        command.current_dir(&self.root).env("SAM_CLI_TELEMETRY", "0");
        command
    }

    /// Points a command at this stack, whatever AWS account or proxy the developer's own environment names.
    pub fn isolate(&self, command: &mut Command) {
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AWS_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment());
    }

    /// The variables by which SDKs and tools find this stack.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let nothing = || "/dev/null".to_owned();
        vec![
            ("AWS_ENDPOINT_URL", self.emulator_url()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_CONFIG_FILE", nothing()),
            ("AWS_SHARED_CREDENTIALS_FILE", nothing()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("NO_PROXY", LOOPBACK.to_owned()),
            ("no_proxy", LOOPBACK.to_owned()),
            ("SAM_CLI_TELEMETRY", "0".to_owned()),
            ("PYTHONUNBUFFERED", "1".to_owned()),
        ]
    }
}

/// Makes a folder that only its owner may look into.
pub fn make_private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
}

/// The ports of the API and of the emulator that the stack was started on.
fn remembered_ports(home: &Path) -> Option<(u16, u16)> {
    let text = fs::read_to_string(home.join(PORTS)).ok()?;
    let (api, emulator) = text.trim().split_once(' ')?;
    Some((api.parse().ok()?, emulator.parse().ok()?))
}

fn root() -> Result<PathBuf> {
    let xtask = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let xtask = Path::new(&xtask);
    Ok(xtask.parent().context("xtask is not in a repository")?.to_owned())
}

/// The port that this variable names, if it is set.
pub fn port(variable: &str, default: u16) -> Result<u16> {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{variable} is not a port: {text}")),
        _ => Ok(default),
    }
}

/// A free port, from below those that systems give outgoing connections: it is used only after the build.
fn free_port() -> Result<u16> {
    let random = || 20_000 + (RandomState::new().build_hasher().finish() % 10_000) as u16;
    let free = (0..100).map(|_| random()).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.context("no port is free")
}
