//! Gathering what the invariants are held against: the provider's books, what clients were told, and
//! read models beside ones built from scratch.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use event_store::EventStore;
use platform::clock::Clock;
use sagas::gateway::sandbox::{self, books::PaymentBook};

use crate::{
    config::Settings,
    database::Database,
    invariants::{Acknowledged, Evidence, Report, check},
};

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
        ..Evidence::log_only(clock.now())
    };
    check(store.as_ref(), &evidence).await.context("cannot read the history")
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
