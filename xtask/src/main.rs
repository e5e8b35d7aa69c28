//! The developer's commands. The Makefile calls them.

mod build;
mod deploy;
mod emulator;
mod http;
mod logs;
mod mail;
mod progress;
mod settings;
mod stack;
mod tools;

use std::process::ExitCode;

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
    /// Stop the local stack; its data stays.
    Down,
    /// Stop the local stack and forget its data.
    Reset,
    /// Let a new key sign the access tokens, without signing anyone out.
    RotateSigningKey,
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
    /// Let no function of a service run.
    StopService {
        service: String,
        /// A stack on AWS, with the credentials in the environment; the local one by default.
        #[arg(long)]
        stack: Option<String>,
    },
    /// Let them run again.
    StartService {
        service: String,
        #[arg(long)]
        stack: Option<String>,
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
        Command::Down => stack::down(&settings)?,
        Command::Reset => stack::reset(&settings)?,
        Command::RotateSigningKey => stack::rotate_signing_key(&settings)?,
        Command::RebuildAnalytics => stack::rebuild_analytics(&settings)?,
        Command::Logs { service } => logs::follow(&settings, service.as_deref())?,
        Command::Mail { to } => mail::show(&settings, to.as_deref())?,
        Command::Status => return stack::status(&settings),
        Command::StopService { service, stack } => {
            return stack::operate(&settings, stack.as_deref(), &["stop-service", "--service", &service]);
        }
        Command::StartService { service, stack } => {
            return stack::operate(&settings, stack.as_deref(), &["start-service", "--service", &service]);
        }
        Command::Tools => tools::install(&settings)?,
        Command::TestTools => tools::install_for_tests(&settings)?,
        Command::Tool { command } => return tools::run(&settings, &command),
        Command::Deny { checks } => return tools::deny(&settings, &checks),
        Command::AgainstStack { command } => return stack::against(&settings, &command),
        Command::WithStack { command } => return stack::with_stack(&command),
    }
    Ok(ExitCode::SUCCESS)
}
