//! The event store of this installation: in its Postgres database unless a setting names another place.
//!
//! **What the database keeps beside the log belongs to that log and to no other**: positions in one are
//! nothing in another. The first event that was ever seen is remembered, and a log that begins with another
//! one is refused.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use event_store::{EventStore, Filter, Position, postgres::PostgresStore};
use futures::StreamExt;
use platform::postgres::{self, Databases};
use sqlx::{ConnectOptions, Connection, PgConnection, migrate::MigrateError, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::config::Settings;

/// How long to wait after the first event could not be remembered.
const REMEMBER_AGAIN: Duration = Duration::from_secs(1);

/// Where the log is.
#[derive(Debug, Clone)]
pub enum Log {
    /// In a Postgres database, each role with its own rights.
    Postgres(Box<Databases>),
    /// In a server that knows no roles of ours.
    Elsewhere {
        /// What to connect to. It may hold a password.
        url: String,
    },
}

impl Log {
    /// The log, for those who append.
    pub async fn open(&self, settings: &Settings) -> Result<Arc<dyn EventStore>> {
        self.open_as(settings, |databases| &databases.service).await
    }

    /// The log, for projectors, who only read it.
    pub async fn open_to_read(&self, settings: &Settings) -> Result<Arc<dyn EventStore>> {
        self.open_as(settings, |databases| &databases.projector).await
    }

    async fn open_as(
        &self,
        settings: &Settings,
        role: impl FnOnce(&Databases) -> &PgConnectOptions,
    ) -> Result<Arc<dyn EventStore>> {
        match self {
            Self::Postgres(databases) => {
                let store = PostgresStore::connect(role(databases).clone()).await;
                Ok(Arc::new(store.context("cannot open the event store")?))
            }
            Self::Elsewhere { url } => {
                let opened = event_store::open(url).await;
                opened.with_context(|| {
                    format!("cannot open the event store that {} names", settings.blame("event_store_url"))
                })
            }
        }
    }

    /// Whether those who only read it have rights of their own there.
    pub(crate) fn knows_roles(&self) -> bool {
        self.tables().is_some()
    }

    /// Its own tables, where it has some, for those who count.
    pub fn tables(&self) -> Option<&PgConnectOptions> {
        match self {
            Self::Postgres(databases) => Some(&databases.service),
            Self::Elsewhere { .. } => None,
        }
    }
}

/// Makes the tables of this installation: which log it follows, and which processes there are.
pub(crate) async fn migrate(owner: &PgConnectOptions) -> Result<(), MigrateError> {
    let migrated = postgres::migrate(owner, "installation", &sqlx::migrate!("src/migrations")).await?;
    Ok(migrated.close().await?)
}

/// Refuses a log that is not the one that this database follows. `false` when the log is empty and nothing
/// tells yet: see [`remember_the_first`].
pub async fn check(settings: &Settings, store: &dyn EventStore, database: &Databases) -> Result<bool> {
    let doing = "cannot find out which log this database follows";
    let mut connection = database.service.connect().await.context(doing)?;
    let first = first_event(store, Position::START).await.context(doing)?;
    let followed = followed(&mut connection).await.context(doing)?;
    let other = || {
        format!(
            "the database follows another log than the one that {} names: its read models and checkpoints \
             are of no use beside it. Name the log of before, or give this one a database of its own",
            settings.blame("event_store_url")
        )
    };
    match (followed, first) {
        (Some(followed), first) => ensure!(first == Some(followed), other()),
        (None, Some(first)) => {
            // Written before anybody remembered which log is followed.
            let of_its_own = first_in_tables(&mut connection).await.context(doing)?;
            ensure!(of_its_own.is_none_or(|of_its_own| of_its_own == first), other());
            remember(first, &mut connection).await.context(doing)?;
        }
        (None, None) => {}
    }
    connection.close().await.context(doing)?;
    Ok(first.is_some())
}

async fn followed(connection: &mut PgConnection) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("select first_event_id from installation.followed_log")
        .fetch_optional(connection)
        .await
}

/// Whoever is first decides; all see the same first event.
async fn remember(first: Uuid, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("insert into installation.followed_log (first_event_id) values ($1) on conflict do nothing")
        .bind(first)
        .execute(connection)
        .await?;
    Ok(())
}

/// The first event of the log that is in this database, whether it is used or not.
async fn first_in_tables(connection: &mut PgConnection) -> Result<Option<Uuid>, sqlx::Error> {
    let sql = "select event_id from event_store.events order by position limit 1";
    sqlx::query_scalar(sql).fetch_optional(connection).await
}

/// The id of the first event behind `after`, whosoever stream it is in.
async fn first_event(
    store: &dyn EventStore,
    mut after: Position,
) -> Result<Option<Uuid>, event_store::StoreError> {
    loop {
        let page = store.read_all(after, &Filter::all(), 1).await?;
        if let Some(first) = page.events.first() {
            return Ok(Some(first.id));
        }
        if page.end {
            return Ok(None);
        }
        after = page.scanned;
    }
}

/// Waits for the first event of a log that was empty.
pub(crate) async fn remember_the_first(store: Arc<dyn EventStore>, service: PgConnectOptions) {
    let mut pages = store.follow(Position::START, Filter::all());
    while let Some(page) = pages.next().await {
        let Some(first) = page.ok().and_then(|page| page.events.first().map(|event| event.id)) else {
            continue;
        };
        let remembered = async {
            let mut connection = service.connect().await?;
            remember(first, &mut connection).await?;
            connection.close().await
        };
        match remembered.await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "cannot remember which log this database follows"),
        }
        tokio::time::sleep(REMEMBER_AGAIN).await;
        pages = store.follow(Position::START, Filter::all());
    }
}
