//! The one executable. What a command does is in `commands`; what it does it with is in the library.

mod cli;
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "commands speak to people")]
mod commands;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use counterfoil::config::{Flags, Settings};
use platform::telemetry;

use crate::cli::{Cli, Command, ImportSource, RelayCommand};

/// What a server logs by default. The relay says once what its client of NATS would say at each try.
const SERVING: &str = "info,async_nats=off";

fn main() -> Result<ExitCode> {
    let command = Cli::parse().command;
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(carry_out(command))
}

async fn carry_out(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve { flags } => commands::serve(&settings(&flags, SERVING)?).await?,
        Command::Demo { flags, checkouts, seed, json } => {
            return commands::demo(settings(&flags, "warn")?, checkouts, seed, json).await;
        }
        Command::Import { source: ImportSource::Retail { file, limit, flags, json } } => {
            commands::import_retail(settings(&flags, "warn")?, &file, limit, json).await?;
        }
        Command::Verify { flags, acknowledged, json } => {
            return commands::verify(&settings(&flags, "warn")?, acknowledged, json).await;
        }
        Command::Sandbox { flags, webhook_url } => {
            commands::sandbox(&settings(&flags, "info")?, webhook_url).await?;
        }
        Command::Projections { command } => commands::projections(command).await?,
        Command::Healthy { url, json } => return commands::healthy(&url, json).await,
        Command::Relay { command: RelayCommand::Rewind { to, flags, json } } => {
            commands::rewind(&settings(&flags, "warn")?, to.position(), json).await?;
        }
        Command::Tap { subject, nats_url, from, count, json, config } => {
            let flags = Flags { nats_url, config, ..Flags::default() };
            commands::tap(&settings(&flags, "warn,async_nats=off")?, &subject, from, json, count).await?;
        }
        Command::Status { url, json } => commands::status(&url, json).await?,
        Command::Bench { asked, flags, json } => {
            commands::bench(&settings(&flags, "warn")?, &asked, json).await?;
        }
        Command::CheckConfig { flags, json } => commands::check_config(&Settings::resolve(&flags)?, json),
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings in force, with the log begun: a server tells what it does, a command only what is wrong.
pub(crate) fn settings(flags: &Flags, log: &str) -> Result<Settings> {
    let settings = Settings::resolve(flags)?;
    telemetry::init(settings.log.as_deref().unwrap_or(log))?;
    Ok(settings)
}
