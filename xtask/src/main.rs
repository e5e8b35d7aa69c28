//! The developer's commands. The Makefile calls them.

mod aws;
mod build;
mod deploy;
mod emulator;
mod environment;
mod http;
mod invoke;
mod localstack;
mod logs;
mod mail;
mod progress;
mod sam_local;
mod settings;
mod stack;
mod tools;
mod watch;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::settings::Settings;

#[derive(Parser)]
#[command(name = "xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, start the embedded emulator, deploy, load the demo data.
    Up,
    /// Build every function.
    Build,
    /// Stop the local stack; its data stays.
    Down,
    /// Stop the local stack and forget its data.
    Reset,
    /// Let a new key sign the access tokens, without signing anyone out.
    RotateSigningKey,
    /// Let no token be good that the key before the present one has signed.
    RetireSigningKey,
    /// Make the read model of analytics anew from the log of events, and let it answer.
    RebuildAnalytics,
    /// Follow the functions' logs.
    Logs {
        /// Only this service's functions.
        service: Option<String>,
    },
    /// Show the e-mails and SMS that were sent.
    Mail {
        /// Only to this address or number.
        to: Option<String>,
    },
    /// Say what is running, and how it is.
    Status,
    /// Invoke a function of the running stack with its sample event.
    Invoke {
        #[arg(default_value = "")]
        function: String,
    },
    /// Print that event, about what there is on the running stack.
    Sample {
        #[arg(default_value = "")]
        function: String,
    },
    /// Run the functions as they are in the source, on the running stack's tables and queues.
    Watch,
    /// Run the built functions in AWS's own container, on the running stack's tables and queues.
    SamLocal,
    /// Become a function of the running stack: Cargo's runner for `watch`.
    #[command(hide = true)]
    AsFunction {
        environment: PathBuf,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Let no function of a service run.
    StopService {
        service: String,
        /// A stack on AWS, in the account that the AWS CLI would work on; the local one by default.
        #[arg(long)]
        stack: Option<String>,
    },
    /// Let them run again.
    StartService {
        service: String,
        #[arg(long)]
        stack: Option<String>,
    },
    /// Put what a service has published since then on the bus again.
    Republish {
        service: String,
        /// As in 2026-01-15T10:30:45Z.
        since: String,
        #[arg(long)]
        stack: Option<String>,
    },
    /// Build every function for arm64 and AWS, and check that Lambda can run it.
    BuildArm64,
    /// Build for arm64 and deploy the stack of an environment of samconfig.toml, in the account that the AWS CLI would work on.
    Deploy {
        /// dev, staging or prod.
        environment: String,
        /// Makes new versions of the money path's functions, also of what was published and rolled back.
        #[arg(long, default_value = "")]
        attempt: String,
    },
    /// Ship one service's functions alone, and see that the others run what they ran.
    DeployService {
        service: String,
        /// A stack on AWS, in the account that the AWS CLI would work on; the local one by default.
        #[arg(long)]
        stack: Option<String>,
    },
    /// Run the operator's command line on AWS: `operator api-keys --stack quayside-prod`.
    Operator {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install the tools into their private environment.
    Tools,
    /// Install what the tests need beside them.
    TestTools,
    /// Run one of those tools: `tool sam validate --lint`.
    Tool {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Check the dependencies with cargo-deny: `deny licenses bans sources`.
    Deny {
        #[arg(required = true)]
        checks: Vec<String>,
    },
    /// Run a command against the local stack that is running.
    AgainstStack {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a command against the stack on a new LocalStack, and remove that afterwards.
    WithLocalstack {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a command against a new stack of its own, on free ports, and stop that stack afterwards.
    WithStack {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    sigpipe::reset();
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let settings = Settings::of_developer()?;
    match command {
        Command::Up => stack::up(&settings)?,
        Command::Build => stack::prepare(&settings)?,
        Command::Down => stack::down(&settings)?,
        Command::Reset => stack::reset(&settings)?,
        Command::RotateSigningKey => stack::rotate_signing_key(&settings)?,
        Command::RetireSigningKey => stack::retire_signing_key(&settings)?,
        Command::RebuildAnalytics => stack::rebuild_analytics(&settings)?,
        Command::Logs { service } => logs::follow(&settings, service.as_deref())?,
        Command::Mail { to } => mail::show(&settings, to.as_deref())?,
        Command::Status => return stack::status(&settings),
        Command::Invoke { function } => return invoke::invoke(&settings, &function),
        Command::Sample { function } => invoke::print_sample(&settings, &function)?,
        Command::Watch => watch::watch(&settings)?,
        Command::SamLocal => return sam_local::start(&settings),
        Command::AsFunction { environment, command } => environment::become_function(&environment, &command)?,
        Command::StopService { service, stack } => {
            return stack::operate(&settings, stack.as_deref(), &["stop-service", "--service", &service]);
        }
        Command::StartService { service, stack } => {
            return stack::operate(&settings, stack.as_deref(), &["start-service", "--service", &service]);
        }
        Command::Republish { service, since, stack } => {
            let arguments = ["republish", "--service", &service, "--since", &since];
            return stack::operate(&settings, stack.as_deref(), &arguments);
        }
        Command::BuildArm64 => aws::build_for_arm64(&settings)?,
        Command::Deploy { environment, attempt } => return aws::deploy(&settings, &environment, &attempt),
        Command::DeployService { service, stack } => {
            return aws::deploy_service(&settings, &service, stack.as_deref());
        }
        Command::Operator { arguments } => return aws::operator(&settings, &arguments),
        Command::Tools => tools::install(&settings)?,
        Command::TestTools => tools::install_for_tests(&settings)?,
        Command::Tool { command } => return tools::run(&settings, &command),
        Command::Deny { checks } => return tools::deny(&settings, &checks),
        Command::AgainstStack { command } => return stack::against(&settings, &command),
        Command::WithLocalstack { command } => return localstack::with_localstack(&command),
        Command::WithStack { command } => return stack::with_stack(&command),
    }
    Ok(ExitCode::SUCCESS)
}
