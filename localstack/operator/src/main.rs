//! What an operator does to a stack beside HTTP: signing keys, the first admin, API keys, demo data.
//!
//! Works on any stack, local or on AWS, with the credentials, region and endpoint in the environment.

mod api_keys;
mod demo;
mod init;
mod passwords;
mod signing_key;
mod stack;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use shared::{auth::Scope, event::Role, id::Id, time::Timestamp};

use crate::{signing_key::KeyRing, stack::Stack};

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
    /// Make an API key, and print it once.
    ApiKey {
        #[arg(long)]
        stack: String,
        /// Whom it is for.
        #[arg(long)]
        name: String,
        /// What it may be used for; may be repeated.
        #[arg(long, required = true, value_parser = api_keys::scope)]
        scope: Vec<Scope>,
        #[arg(long, default_value_t = api_keys::REQUESTS_PER_SECOND)]
        requests_per_second: u32,
    },
    /// Revoke an API key.
    RevokeApiKey {
        #[arg(long)]
        stack: String,
        /// The number in the key's text: `qsk_<id>_…`.
        #[arg(long)]
        id: Id,
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
        Command::StoreSigningKey { stack, file } => {
            KeyRing::read(&file)?.store(&Stack::connect(&stack)?, &file).await?;
        }
        Command::Admin { stack, username, email } => {
            let password = passwords::random()?;
            let person = init::Person { id: Id::generate().even(), username: &username, name: None, email: &email };
            init::make_account(&Stack::connect(&stack)?, &person, Role::Admin, &password).await?;
            println!("{password}");
        }
        Command::ApiKey { stack, name, scope, requests_per_second } => {
            println!("{}", api_keys::make(&Stack::connect(&stack)?, &name, &scope, requests_per_second).await?);
        }
        Command::RevokeApiKey { stack, id } => api_keys::revoke(&Stack::connect(&stack)?, id).await?,
        Command::Init { stack, signing_key, base_url, output } => {
            init::init(&Stack::connect(&stack)?, &signing_key, &base_url, &output).await?;
        }
    }
    Ok(())
}
