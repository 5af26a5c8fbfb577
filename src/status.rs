//! What a running system is doing: streams by category, read models with their lag, checkouts in flight,
//! and what a person has to look at. `GET /status` tells it from the database, so that any process of
//! several knows of all; `counterfoil status` asks that and prints it for people.

mod figures;
pub mod print;

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, routing::get};
use chrono::{DateTime, Utc};
use event_store::{EventStore, Position};
use platform::problem::{Problem, UNAVAILABLE};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::{sync::Mutex, time::Instant};
use utoipa::ToSchema;

use crate::database::Database;

pub use figures::{Error, projections};
pub use print::{ask, show};

/// Counting takes the database a while on a long history: nobody gets a newer report than this.
const FRESH_FOR: Duration = Duration::from_secs(1);
const STATEMENT_TIMEOUT: &str = "3s";

/// What a running system is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The position of the last event.
    #[schema(value_type = u64)]
    pub head: Position,
    /// How many streams there are, by category; unknown where the log is not in Postgres.
    pub streams: Option<Vec<Count>>,
    /// Every process that was seen in the last seconds.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// Every read model.
    pub projections: Vec<Projection>,
    /// What the coordinators have in hand.
    pub sagas: Sagas,
    /// What hands events on to NATS; none when no relay has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
    /// Work that no process does: a read model that is behind, or sagas with something to do. A moment of it
    /// is nothing, because work changes hands; what stays needs a person.
    #[serde(default)]
    pub unattended: Vec<Unattended>,
    /// Open matters for a person, by kind; `GET /attention` lists them.
    pub attention: Vec<Count>,
}

/// A process of this installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Process {
    /// As in the leases that it holds.
    pub name: String,
    /// What it runs.
    pub roles: Vec<String>,
    /// Where its API listens.
    pub listen: String,
    /// The release that it is of.
    pub version: String,
    /// Since when it is there.
    pub since: DateTime<Utc>,
}

/// Work that no process does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unattended {
    /// `sagas`, or the name of a read model.
    pub name: String,
    /// How far the log goes on behind what is done of it, as the store counts.
    pub lag: u64,
}

/// How many there are of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Count {
    /// Of what.
    pub name: String,
    /// How many.
    pub count: i64,
}

/// One read model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Projection {
    /// What it is called.
    pub name: String,
    /// The version that is read.
    pub version: Option<i32>,
    /// Everything up to here is in it.
    #[schema(value_type = u64)]
    pub checkpoint: Position,
    /// How far the log goes on behind it, as the store counts: in events where positions are dense.
    pub lag: u64,
    /// Which process writes it; none when no process does, or when it is split into partitions.
    pub holder: Option<String>,
    /// Its partitions in their order, where it is split: each of its streams belongs to one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
    /// Processes that cannot go on with it: an event was written by a newer release than theirs, and one of
    /// that release has to.
    #[serde(default)]
    pub standing_back: Vec<StandingBack>,
    /// The version that is being built, and how far it is.
    pub building: Option<Building>,
    /// The version that is kept for going back.
    pub previous: Option<i32>,
    /// Streams that are kept back because an event of theirs cannot be applied.
    pub parked: Vec<Parked>,
}

/// A partition of a read model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Partition {
    /// Everything of its streams up to here is in it.
    #[schema(value_type = u64)]
    pub checkpoint: Position,
    /// How far the log goes on behind it, as the store counts: in events where positions are dense.
    pub lag: u64,
    /// Which process writes it; none when no process does.
    pub holder: Option<String>,
}

/// A process that leaves a read model to those of a newer release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingBack {
    /// Which.
    pub holder: String,
    /// The place in the log of the event that it cannot read.
    pub position: i64,
    /// The event's name and version.
    pub event: String,
}

/// A version of a read model that is being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Building {
    /// Its number.
    pub version: i32,
    /// Everything up to here is in it.
    #[schema(value_type = u64)]
    pub checkpoint: Position,
}

/// A stream that a projection keeps back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Parked {
    /// The stream.
    pub stream: String,
    /// The place in the log of the event that cannot be applied.
    pub position: i64,
    /// Why not.
    pub reason: String,
    /// How many events wait behind it, that one included.
    pub held: i64,
}

/// What the coordinators have in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sagas {
    /// Everything up to here is handled, in all partitions.
    #[schema(value_type = u64)]
    pub checkpoint: Position,
    /// How far the log goes on behind it, as the store counts: in events where positions are dense.
    pub lag: u64,
    /// Which processes drive them, each its share of the partitions.
    #[serde(default)]
    pub holders: Vec<Holder>,
    /// How many partitions no process drives.
    #[serde(default)]
    pub free_partitions: i64,
    /// Processes that have met an event of a newer release than theirs, and leave their share to others.
    #[serde(default)]
    pub standing_back: Vec<String>,
    /// Checkouts, payments and webhooks in flight, by what they wait for.
    pub in_flight: Vec<Count>,
}

/// A process that drives a share of the sagas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Holder {
    /// Which.
    pub holder: String,
    /// How many partitions it has.
    pub partitions: i64,
}

/// What hands events on to NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Relay {
    /// NATS has acknowledged everything up to here.
    #[schema(value_type = u64)]
    pub checkpoint: Position,
    /// How far the log goes on behind it, as the store counts: in events where positions are dense.
    pub lag: u64,
    /// Which process publishes; none when no process does.
    pub holder: Option<String>,
}

/// Gathers reports, and keeps the last one for a moment.
#[derive(Debug, Clone)]
pub struct Status(Arc<Sources>);

#[derive(Debug)]
struct Sources {
    store: Arc<dyn EventStore>,
    service: PgPool,
    reader: PgPool,
    projector: PgConnectOptions,
    /// The log's own tables, where it has some.
    log: Option<PgPool>,
    last: Mutex<Option<(Instant, Report)>>,
}

impl Status {
    /// Reports on a log and what is kept in the database. Connects when first asked.
    pub fn new(store: Arc<dyn EventStore>, database: &Database) -> Self {
        let databases = &database.roles;
        let pool = |options: &PgConnectOptions| {
            let options = options.clone().options([("statement_timeout", STATEMENT_TIMEOUT)]);
            PgPoolOptions::new().max_connections(1).acquire_timeout(FRESH_FOR * 2).connect_lazy_with(options)
        };
        Self(Arc::new(Sources {
            store,
            service: pool(&databases.service),
            reader: pool(&databases.reader),
            projector: databases.projector.clone(),
            log: database.log.tables().map(pool),
            last: Mutex::new(None),
        }))
    }

    /// The report of now, or of a moment ago.
    pub async fn report(&self) -> Result<Report, Error> {
        // Held while gathering, so that many who ask at once cost the database one report.
        let mut last = self.0.last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < FRESH_FOR
        {
            return Ok(report.clone());
        }
        let report = figures::gather(&self.0).await?;
        *last = Some((Instant::now(), report.clone()));
        Ok(report)
    }
}

/// Serves `GET /status`.
pub fn router(status: Status) -> Router {
    Router::new().route(
        "/status",
        get(async move || match status.report().await {
            Ok(report) => Ok(Json(report)),
            Err(error) => {
                tracing::warn!(%error, "cannot report on the system");
                Err(Problem::new(&UNAVAILABLE).retry_after(FRESH_FOR))
            }
        }),
    )
}
