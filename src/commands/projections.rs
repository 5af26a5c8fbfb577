//! `counterfoil projections`: looks after the read models. All of it works beside a running server, which it
//! shares the database with.

mod rebuild;
mod retry;
mod roll_back;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use counterfoil::{
    config::Settings,
    database::Database,
    log,
    status::{self, Projection, print},
    table::{number, table},
};
use event_store::EventStore;
use projections::{Projector, RebuildOptions};

use crate::{cli::ProjectionsCommand, settings};

/// Carries out one of the commands.
pub(crate) async fn projections(command: ProjectionsCommand) -> Result<()> {
    match command {
        ProjectionsCommand::List { flags, json } => list(&settings(&flags, "warn")?, json).await,
        ProjectionsCommand::Status { flags, json } => show(&settings(&flags, "warn")?, json).await,
        ProjectionsCommand::Rebuild { name, workers, partitions, accept_differences, flags, json } => {
            let options = RebuildOptions { partitions, accept_differences, ..RebuildOptions::default() };
            rebuild::rebuild(&settings(&flags, "warn")?, &name, workers, options, json).await
        }
        ProjectionsCommand::RollBack { name, flags, json } => {
            roll_back::roll_back(&settings(&flags, "warn")?, &name, json).await
        }
        ProjectionsCommand::Retry { name, stream, flags, json } => {
            retry::retry(&settings(&flags, "warn")?, &name, stream.as_deref(), json).await
        }
    }
}

async fn list(settings: &Settings, json: bool) -> Result<()> {
    let state = state(settings).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&state)?);
        return Ok(());
    }
    let mut rows = table(["projection", "version", "kept for going back"]);
    for projection in state {
        let version = |version: Option<i32>| version.map_or_else(|| "(none)".to_owned(), |no| no.to_string());
        let live = match projection.partitions.len() {
            0 => version(projection.version),
            several => format!("{} in {several} partitions", version(projection.version)),
        };
        rows.add_row([projection.name.into(), number(live), number(version(projection.previous))]);
    }
    println!("{rows}");
    Ok(())
}

async fn show(settings: &Settings, json: bool) -> Result<()> {
    let state = state(settings).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&state)?);
        return Ok(());
    }
    println!("{}", print::projections(&state));
    for line in print::partitions(&state).chain(print::parked(&state)) {
        println!("{line}");
    }
    Ok(())
}

async fn state(settings: &Settings) -> Result<Vec<Projection>> {
    with_log(settings, async |database, store| {
        let state = status::projections(&**store, &database.roles.projector).await;
        state.context("cannot read the state of the projections")
    })
    .await
}

/// The read model of this name.
fn named(name: &str) -> Result<Arc<dyn Projector>> {
    let found = projections::all().into_iter().find(|projection| projection.definition().name == name);
    found.ok_or_else(|| anyhow!("there is no read model {name:?}; there are: {}", names()))
}

/// The read model of this name, or all of them.
fn chosen(name: &str) -> Result<Vec<Arc<dyn Projector>>> {
    let mut chosen = projections::all();
    chosen.retain(|projection| ["all", projection.definition().name].contains(&name));
    ensure!(!chosen.is_empty(), "there is no read model {name:?}; there are: {}, or all", names());
    Ok(chosen)
}

fn names() -> String {
    let all: Vec<_> = projections::all().iter().map(|projection| projection.definition().name).collect();
    all.join(", ")
}

/// Does some work with the database and the log, beside a running server or without one.
async fn with_log<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Database, &Arc<dyn EventStore>) -> Result<T>,
) -> Result<T> {
    let database = Database::open_or_attach(settings).await?;
    let store = database.log.open_to_read(settings).await?;
    log::check(settings, &*store, &database.roles).await?;
    let outcome = work(&database, &store).await;
    store.close().await;
    database.close()?;
    outcome
}
