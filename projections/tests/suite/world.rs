//! A database with empty read models and a log in memory to fill them from.

use std::{future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use event_store::{EventStore, ExpectedRevision, NewEvent, Position, memory::MemoryStore};
use events::{Actor, DomainEvent, Metadata, StreamName};
use platform::postgres::{Databases, testing};
use projections::{Error, Projector, RebuildOptions, Rebuilt, RunnerOptions, Verified};
use sqlx::{ConnectOptions, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct World {
    pub store: Arc<MemoryStore>,
    pub databases: Databases,
}

impl World {
    pub async fn new() -> Self {
        let databases = testing::fresh_database().await;
        platform::releases::migrate(&databases.owner).await.unwrap();
        projections::migrate(&databases.owner).await.unwrap();
        Self { store: Arc::new(MemoryStore::new()), databases }
    }

    /// Appends one event that happened at `at`.
    pub async fn append<E: DomainEvent>(
        &self,
        stream: &StreamName,
        event: &E,
        at: DateTime<Utc>,
    ) -> Position {
        let payload = event.encode().unwrap();
        self.append_raw(stream, event.wire_name(), event.wire_version(), payload, at).await
    }

    /// Appends whatever one likes.
    pub async fn append_raw(
        &self,
        stream: &StreamName,
        name: &str,
        version: u16,
        payload: impl Into<bytes::Bytes>,
        at: DateTime<Utc>,
    ) -> Position {
        let event = new_event(name, version, payload, at);
        self.store.append(stream, ExpectedRevision::Any, vec![event]).await.unwrap().position
    }

    /// Appends one event, as often as it takes while the store fails.
    pub async fn append_until_written<E: DomainEvent>(&self, stream: &StreamName, event: &E) {
        let event = new_event(event.wire_name(), event.wire_version(), event.encode().unwrap(), minute(0));
        while self.store.append(stream, ExpectedRevision::Any, vec![event.clone()]).await.is_err() {}
    }

    /// A connection that may do what the projector may.
    pub async fn projector(&self) -> PgConnection {
        self.databases.projector.connect().await.unwrap()
    }

    /// A connection that may do what readers may.
    pub async fn reader(&self) -> PgConnection {
        self.databases.reader.connect().await.unwrap()
    }

    /// Starts a runner for one projection; it stops when the guard goes.
    pub fn run(&self, projection: impl Projector, holder: &str) -> Running {
        let shutdown = CancellationToken::new();
        let options = RunnerOptions { holder: holder.to_owned(), ..RunnerOptions::default() };
        let running = projections::run(
            Arc::new(projection),
            self.store.clone(),
            self.databases.projector.clone(),
            options,
            shutdown.clone(),
        );
        let task = tokio::spawn(async move { running.await.unwrap() });
        Running { shutdown, task }
    }

    /// Starts a process that runs its share of these; it stops when the guard goes.
    pub fn process(&self, projections: Vec<Arc<dyn Projector>>, holder: &str) -> Running {
        self.process_on(self.store.clone(), projections, holder, RunnerOptions::default().batch_events_max)
    }

    /// The same on a store that is this world's in other words.
    pub fn process_on(
        &self,
        store: Arc<dyn EventStore>,
        projections: Vec<Arc<dyn Projector>>,
        holder: &str,
        batch_events_max: usize,
    ) -> Running {
        let shutdown = CancellationToken::new();
        let options = RunnerOptions { holder: holder.to_owned(), batch_events_max };
        let task = tokio::spawn(projections::run_all(
            projections,
            store,
            self.databases.projector.clone(),
            options,
            shutdown.clone(),
        ));
        Running { shutdown, task }
    }

    /// Rebuilds one projection.
    pub async fn rebuild(
        &self,
        projection: impl Projector,
        options: &RebuildOptions,
    ) -> Result<Rebuilt, Error> {
        let (store, projector) = (self.store.clone(), self.databases.projector.clone());
        let report = Arc::new(|_| ());
        let shutdown = CancellationToken::new();
        projections::rebuild(Arc::new(projection), store, projector, options, report, shutdown).await
    }

    /// Compares one projection with what it should be.
    pub async fn verify(&self, projection: Arc<dyn Projector>) -> Verified {
        let (store, projector) = (self.store.clone(), self.databases.projector.clone());
        let (options, report) = (RebuildOptions::default(), Arc::new(|_| ()));
        let shutdown = CancellationToken::new();
        projections::verify(projection, store, projector, &options, report, shutdown).await.unwrap()
    }

    /// Runs one projection until it is at the end of the log.
    pub async fn catch_up(&self, projection: impl Projector) {
        let name = projection.definition().name;
        let running = self.run(projection, "catching up");
        self.reached(name, self.store.head().await.unwrap()).await;
        running.stop().await;
    }

    /// Waits until a read model is at `position`.
    pub async fn reached(&self, name: &str, position: Position) {
        let mut db = self.projector().await;
        eventually(&format!("{name} is at {position}"), async || {
            self.position(name, &mut db).await >= Some(position.to_column().unwrap())
        })
        .await;
    }

    /// Where a read model is; `None` before there is one.
    pub async fn position(&self, name: &str, db: &mut PgConnection) -> Option<i64> {
        let sql = format!("select position from read.{name}_position");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(db).await.ok()
    }
}

fn new_event(name: &str, version: u16, payload: impl Into<bytes::Bytes>, at: DateTime<Utc>) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4(),
        name: name.to_owned(),
        version,
        payload: payload.into(),
        metadata: Metadata {
            occurred_at: at,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            command_id: Uuid::nil(),
            request_digest: None,
            actor: Actor::Client,
            traceparent: None,
        },
    }
}

/// A runner in the background.
pub struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it as a service stops: what was begun is finished.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// Stops it as a crash does: wherever it is.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Waits for a condition, and fails naming it when it does not come true.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(what, wait).await;
}

/// Fails, naming what was awaited, when it takes too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A moment: so many minutes into the first of March 2026.
pub fn minute(minute: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap() + chrono::TimeDelta::minutes(minute)
}
