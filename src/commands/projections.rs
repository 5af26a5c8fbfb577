//! `counterfoil projections`: what the read models are at, and building one anew. All of it works beside
//! a running server, which it shares the database with.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use counterfoil::{
    config::Settings,
    database::Database,
    status::{self, Projection, print},
    table::{number, table},
};
use event_store::{EventStore, postgres::PostgresStore};
use indicatif::{ProgressBar, ProgressStyle};
use platform::shutdown::Shutdown;
use projections::{Error, Progress, Projector, RebuildOptions, Stage};

use crate::{cli::ProjectionsCommand, settings};

/// Carries out one of the commands.
pub(crate) async fn projections(command: ProjectionsCommand) -> Result<()> {
    match command {
        ProjectionsCommand::List { flags, json } => list(&settings(&flags, "warn")?, json).await,
        ProjectionsCommand::Status { flags, json } => show(&settings(&flags, "warn")?, json).await,
        ProjectionsCommand::Rebuild { name, workers, accept_differences, flags } => {
            let options = RebuildOptions { workers, accept_differences, ..RebuildOptions::default() };
            rebuild(&settings(&flags, "warn")?, &name, &options).await
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
        rows.add_row([
            projection.name.into(),
            number(version(projection.version)),
            number(version(projection.previous)),
        ]);
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
    for line in print::parked(&state) {
        println!("{line}");
    }
    Ok(())
}

async fn state(settings: &Settings) -> Result<Vec<Projection>> {
    let database = Database::open_or_attach(settings).await?;
    let store = log_of(&database).await?;
    let state = status::projections(&*store, &database.roles.projector).await;
    store.close().await;
    database.close()?;
    state.context("cannot read the state of the projections")
}

/// Builds one read model anew, or all of them one after the other. Ctrl-C keeps what was done.
async fn rebuild(settings: &Settings, name: &str, options: &RebuildOptions) -> Result<()> {
    let all = projections::all();
    let chosen: Vec<Arc<dyn Projector>> = all
        .iter()
        .filter(|projection| ["all", projection.definition().name].contains(&name))
        .cloned()
        .collect();
    if chosen.is_empty() {
        let known: Vec<_> = all.iter().map(|projection| projection.definition().name).collect();
        bail!("there is no read model {name:?}; there are: {}, or all", known.join(", "));
    }
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let database = Database::open_or_attach(settings).await?;
    let store = log_of(&database).await?;
    let mut outcome = Ok(());
    for projection in chosen {
        outcome = rebuild_one(projection, &store, &database, options, &shutdown).await;
        if outcome.is_err() {
            break;
        }
    }
    store.close().await;
    database.close()?;
    outcome
}

async fn rebuild_one(
    projection: Arc<dyn Projector>,
    store: &Arc<dyn EventStore>,
    database: &Database,
    options: &RebuildOptions,
    shutdown: &Shutdown,
) -> Result<()> {
    let name = projection.definition().name;
    let bar = progress_bar(name);
    let report = {
        let bar = bar.clone();
        Arc::new(move |progress: Progress| tell(&bar, progress))
    };
    let projector = database.roles.projector.clone();
    let rebuilt =
        projections::rebuild(projection, Arc::clone(store), projector, options, report, shutdown.token())
            .await;
    bar.finish_and_clear();
    match rebuilt {
        Ok(rebuilt) => {
            let compared = rebuilt.compared_at.map_or_else(
                || "not comparable with the one before, whose definition was another".to_owned(),
                |position| format!("{} rows compared at position {position}", rebuilt.rows),
            );
            println!("{name}: version {} is live; {compared}", rebuilt.version);
            Ok(())
        }
        Err(Error::Differs { projection, version, position, differences }) => {
            let mut rows = table(["table", "key", "live", "rebuilt"]);
            for row in differences {
                let side = |row: Option<String>| row.unwrap_or_else(|| "(no row)".to_owned());
                rows.add_row([row.table.to_owned(), row.key, side(row.live), side(row.rebuilt)]);
            }
            println!("{rows}");
            bail!(
                "{projection} stays as it is: version {version} differs from it at position {position}. After \
                 looking at the rows above, --accept-differences switches all the same"
            )
        }
        Err(error) => Err(error).with_context(|| format!("rebuilding {name}")),
    }
}

async fn log_of(database: &Database) -> Result<Arc<dyn EventStore>> {
    let store = PostgresStore::connect(database.roles.projector.clone()).await;
    Ok(Arc::new(store.context("cannot read the event store")?))
}

fn progress_bar(name: &'static str) -> ProgressBar {
    let template = "{prefix} {bar:32} {pos}/{len} positions  {per_sec}  {eta} left  {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_prefix(name)
}

fn tell(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.target.0);
    bar.set_position(progress.done.0);
    bar.set_message(match progress.stage {
        Stage::Filling => "filling",
        Stage::Indexing => "indexing",
        Stage::Comparing => "comparing",
        Stage::Promoting => "switching",
    });
}
