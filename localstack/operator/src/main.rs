//! What an operator does to a stack beside HTTP: signing keys, the first admin, API keys, demo data, read
//! models.
//!
//! Works on any stack: on the emulator's that `AWS_ENDPOINT_URL` names, or on AWS with the account that the AWS
//! CLI would work on.

mod account;
mod accounts;
mod analytics_model;
mod api_keys;
mod demo;
mod init;
mod outbox;
mod passwords;
mod services;
mod signing_key;
mod stack;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use shared::{auth::Scope, event::Role, id::Id, time::Timestamp};

use crate::{services::Service, signing_key::KeyRing, stack::Stack};

#[derive(Parser)]
#[command(name = "quayside-operator", about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a signing key unless the file holds some, and print the stack's JwtPublicKeys parameter.
    SigningKey {
        #[arg(long)]
        file: PathBuf,
    },
    /// Add the key that is to sign next, and print the stack's JwtPublicKeys parameter. Deploy with it,
    /// then store-signing-key: nobody is signed out.
    RotateSigningKey {
        #[arg(long)]
        file: PathBuf,
    },
    /// Withdraw the key that signed before the present one, as when it has leaked, and print the stack's
    /// JwtPublicKeys parameter. Deploy with it: whoever has a token of that key refreshes it.
    RetireSigningKey {
        #[arg(long)]
        file: PathBuf,
    },
    /// Put the signing key into the stack's secret; after a rotation the new one, from now on.
    StoreSigningKey {
        #[arg(long)]
        stack: String,
        #[arg(long)]
        file: PathBuf,
    },
    /// Make an account that is an admin, and print its password once.
    Admin {
        #[arg(long)]
        stack: String,
        #[arg(long)]
        username: String,
        #[arg(long)]
        email: String,
    },
    /// Give an account another role; whoever is signed in to it has to sign in anew.
    SetRole {
        #[arg(long)]
        stack: String,
        #[arg(long)]
        username: String,
        #[arg(long)]
        role: AccountRole,
    },
    /// Make an API key, and print it once.
    ApiKey {
        #[arg(long)]
        stack: String,
        /// Whom it is for.
        #[arg(long)]
        name: String,
        /// The client or service that holds it, where the name does not say.
        #[arg(long)]
        client: Option<String>,
        /// What it may be used for; may be repeated.
        #[arg(long, required = true, value_parser = api_keys::scope)]
        scope: Vec<Scope>,
        /// Up to 500.
        #[arg(long, default_value_t = api_keys::REQUESTS_PER_SECOND, value_parser = api_keys::rate())]
        requests_per_second: u32,
    },
    /// List all API keys, newest first, a JSON object a line; never the keys themselves.
    ApiKeys {
        #[arg(long)]
        stack: String,
    },
    /// Revoke an API key.
    RevokeApiKey {
        #[arg(long)]
        stack: String,
        /// The number in the key's text: `qsk_<id>_…`.
        #[arg(long)]
        id: Id,
    },
    /// Make the read model of analytics anew from the log of events, beside the one that answers, and let
    /// the new one answer. Nothing stops meanwhile; what was interrupted is gone on with.
    RebuildAnalytics {
        #[arg(long)]
        stack: String,
        /// Let the new version answer though it differs from the old one, which is known to be wrong.
        #[arg(long)]
        accept_differences: bool,
    },
    /// Give up the version of the read model of analytics that an interrupted rebuild has left being built.
    /// Events do not go to it any more; remove it then.
    AbandonAnalytics {
        #[arg(long)]
        stack: String,
        /// The number of the version.
        #[arg(long)]
        version: u32,
    },
    /// Remove a version of the read model of analytics that answers no more.
    RemoveAnalytics {
        #[arg(long)]
        stack: String,
        /// The number of the version.
        #[arg(long)]
        version: u32,
    },
    /// Let no function of a service run: requests are answered 503, events wait.
    StopService {
        #[arg(long)]
        stack: String,
        #[arg(long)]
        service: String,
    },
    /// Let them run again.
    StartService {
        #[arg(long)]
        stack: String,
        #[arg(long)]
        service: String,
    },
    /// Put what a service has published since then on the bus again: after the bus was away for more than
    /// a day. Consumers know what they have handled.
    Republish {
        #[arg(long)]
        stack: String,
        #[arg(long)]
        service: String,
        /// As in 2026-01-15T10:30:45Z.
        #[arg(long, value_parser = outbox::moment)]
        since: Timestamp,
    },
    /// Make a new local stack ready to use: signing key, accounts, API key, demo data.
    Init {
        #[arg(long)]
        stack: String,
        #[arg(long)]
        signing_key: PathBuf,
        #[arg(long)]
        base_url: String,
        /// Where the base URL and the credentials are written to.
        #[arg(long)]
        output: PathBuf,
    },
}

/// The roles that people have. Devices and services have API keys.
#[derive(Clone, Copy, ValueEnum)]
enum AccountRole {
    Customer,
    Admin,
}

impl From<AccountRole> for Role {
    fn from(role: AccountRole) -> Self {
        match role {
            AccountRole::Customer => Self::Customer,
            AccountRole::Admin => Self::Admin,
        }
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(Arguments::parse().command)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quayside-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::SigningKey { file } => println!("{}", KeyRing::read_or_make(&file)?.public_keys()),
        Command::RotateSigningKey { file } => {
            let mut ring = KeyRing::read(&file)?;
            ring.rotate(&file, Timestamp::now())?;
            println!("{}", ring.public_keys());
        }
        Command::RetireSigningKey { file } => {
            let mut ring = KeyRing::read(&file)?;
            ring.retire(&file)?;
            println!("{}", ring.public_keys());
        }
        Command::StoreSigningKey { stack, file } => {
            KeyRing::read(&file)?.store(&Stack::connect(&stack).await?, &file).await?;
        }
        Command::Admin { stack, username, email } => {
            let password = passwords::random()?;
            let person = init::Person { id: Id::generate().even(), username: &username, name: None, email: &email };
            init::make_account(&Stack::connect(&stack).await?, &person, Role::Admin, &password).await?;
            println!("{password}");
        }
        Command::SetRole { stack, username, role } => {
            accounts::set_role(&Stack::connect(&stack).await?, &username, role.into()).await?;
        }
        Command::ApiKey { stack, name, client, scope, requests_per_second } => {
            let key =
                api_keys::make(&Stack::connect(&stack).await?, &name, client, &scope, requests_per_second).await?;
            println!("{key}");
        }
        Command::ApiKeys { stack } => api_keys::list(&Stack::connect(&stack).await?).await?,
        Command::RevokeApiKey { stack, id } => api_keys::revoke(&Stack::connect(&stack).await?, id).await?,
        Command::RebuildAnalytics { stack, accept_differences } => {
            analytics_model::rebuild(&Stack::connect(&stack).await?, accept_differences).await?;
        }
        Command::AbandonAnalytics { stack, version } => {
            analytics_model::abandon(&Stack::connect(&stack).await?, version).await?;
        }
        Command::RemoveAnalytics { stack, version } => {
            analytics_model::remove(&Stack::connect(&stack).await?, version).await?;
        }
        Command::StopService { stack, service } => {
            let service = Service::find(&stack, &service).await?;
            service.stop().await?;
            println!("stopped: {}", service.functions().join(" "));
        }
        Command::StartService { stack, service } => {
            let service = Service::find(&stack, &service).await?;
            service.start().await?;
            println!("started: {}", service.functions().join(" "));
        }
        Command::Republish { stack, service, since } => {
            let outbox::Republished { events, unreadable } =
                outbox::republish(&Stack::connect(&stack).await?, &service, since).await?;
            println!("published again: {events} events");
            ensure!(unreadable.is_empty(), "items that cannot be read stay where they are: {}", unreadable.join("; "));
        }
        Command::Init { stack, signing_key, base_url, output } => {
            init::init(&Stack::connect(&stack).await?, &signing_key, &base_url, &output).await?;
        }
    }
    Ok(())
}
