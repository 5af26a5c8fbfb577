//! Gathering what the invariants are held against: the provider's books, what clients were told, and
//! read models beside ones built from scratch.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use domain::{Snapshotted, inventory::Stock};
use event_store::EventStore;
use futures::future::try_join_all;
use platform::clock::Clock;
use projections::RebuildOptions;
use sagas::gateway::sandbox::{self, books::PaymentBook};
use tokio_util::sync::CancellationToken;
use write_side::{
    LoadError,
    snapshots::{PostgresSnapshots, is_borne_out},
};

use crate::{
    config::Settings,
    database::Database,
    invariants::{Acknowledged, ComparedSnapshots, Evidence, ReadModel, Report, check},
};

/// How many snapshots are read together.
const SNAPSHOTS_AT_ONCE: u32 = 100;

/// Checks every invariant over the whole history of a database.
pub async fn audit(
    settings: &Settings,
    database: &Database,
    store: &Arc<dyn EventStore>,
    acknowledged: Vec<Acknowledged>,
    clock: &Clock,
) -> Result<Report> {
    let books = books(settings, database).await?;
    let evidence = Evidence {
        acknowledged,
        provider: Some(books.iter().map(Into::into).collect()),
        read_models: Some(read_models(database, store).await?),
        snapshots: Some(snapshots(database, store.as_ref()).await?),
        ..Evidence::log_only(clock.now())
    };
    check(store.as_ref(), &evidence).await.context("cannot read the history")
}

/// Every read model beside one that is built from scratch, in a schema that is dropped afterwards. Nobody
/// who reads or writes meanwhile is disturbed.
async fn read_models(database: &Database, store: &Arc<dyn EventStore>) -> Result<Vec<ReadModel>> {
    let options = RebuildOptions { workers: 1, ..RebuildOptions::default() };
    let compared = projections::all().into_iter().map(async |projection| {
        let name = projection.definition().name;
        let verified = projections::verify(
            projection,
            Arc::clone(store),
            database.roles.projector.clone(),
            &options,
            Arc::new(|_| ()),
            CancellationToken::new(),
        )
        .await
        .with_context(|| format!("cannot compare the read model {name} with one built from scratch"))?;
        let rows = verified.differences.iter().map(|row| format!("{} {}", row.table, row.key));
        anyhow::Ok(ReadModel {
            projection: name.to_owned(),
            position: verified.position,
            rows: verified.rows,
            differing: rows.collect(),
        })
    });
    try_join_all(compared).await
}

/// Every stored state beside what its history comes to.
async fn snapshots(database: &Database, store: &dyn EventStore) -> Result<ComparedSnapshots> {
    let stored = PostgresSnapshots::new(&database.roles.service);
    let (mut all, mut after) = (ComparedSnapshots::default(), String::new());
    loop {
        let page = stored.page(Stock::VERSION, &after, SNAPSHOTS_AT_ONCE).await;
        let page = page.context("cannot read the snapshots of streams")?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = last.to_string();
        for (stream, snapshot) in page {
            match is_borne_out::<Stock>(&snapshot, &stream, store).await {
                Ok(true) => {}
                Ok(false) | Err(LoadError::History(_)) => all.differing.push(stream.to_string()),
                Err(LoadError::Store(error)) => {
                    return Err(error).with_context(|| format!("cannot read the history of {stream}"));
                }
            }
            all.compared += 1;
        }
    }
}

/// The provider's own books: asked for where the provider is elsewhere, read where it is the sandbox of
/// this installation, which need not be running.
async fn books(settings: &Settings, database: &Database) -> Result<Vec<PaymentBook>> {
    let Some(url) = &settings.provider_url else {
        return sandbox::read_books(&database.roles.service)
            .await
            .context("cannot read the sandbox provider's books");
    };
    let answer = reqwest::get(format!("{}/books", url.trim_end_matches('/'))).await;
    let books = answer.with_context(|| format!("cannot ask the provider at {url} for its books"))?;
    books.error_for_status()?.json().await.context("the provider's books cannot be read")
}

/// What clients were told: one JSON object a line.
pub fn read_acknowledgements(path: &Path) -> Result<Vec<Acknowledged>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("line {} of {} is no acknowledgement", index + 1, path.display()))
        })
        .collect()
}
