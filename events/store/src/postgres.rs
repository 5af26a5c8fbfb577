//! The store in Postgres. Positions are dense and in the order of commits, from however many processes:
//! whoever appends holds the lock of the head until the commit. Within a process appends are gathered
//! and committed together.

mod batch;
mod copying;
mod failure;
mod gathering;
mod listener;
mod migrations;
mod names;
mod number;
mod reading;
mod recent;
mod sequencer;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use events::StreamName;
use futures::stream::BoxStream;
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use migrations::{MigrateError, migrate};

use self::{
    batch::BatchLimits,
    gathering::StreamReads,
    listener::Listener,
    reading::Reader,
    recent::{Recent, RecentLimits},
    sequencer::{Patience, Sequencer},
};
use crate::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, IdScope, NewEvent, Numbering,
    Page, Position, RecordedEvent, StoreError, follow,
    follow::{Pages, Wakes},
    port,
};

/// How a [`PostgresStore`] deals with load and outages. The defaults suit a service.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The most connections for reading the log. Reading streams takes two more, appending and listening one each.
    pub read_connections_max: u32,
    /// How long a read waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a read may take.
    pub read_timeout: Duration,
    /// How long one try of a commit may take.
    pub commit_timeout: Duration,
    /// How long after it was handed over an append is given up, when the database is away.
    pub give_up_after: Duration,
    /// How many appends may wait; a caller beyond that waits to be let in.
    pub queue_appends_max: usize,
    /// The most events that are committed together.
    pub batch_events_max: usize,
    /// The most bytes that are committed together.
    pub batch_bytes_max: usize,
    /// How many of the newest events are kept in memory for those who follow the log in this process.
    pub recent_events_max: usize,
    /// The most bytes of payload that these may have.
    pub recent_bytes_max: usize,
    /// How often the head is read, in case notifications get lost.
    pub poll_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_connections_max: 8,
            acquire_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(20),
            commit_timeout: Duration::from_secs(5),
            give_up_after: Duration::from_secs(15),
            queue_appends_max: 1_024,
            batch_events_max: 2_000,
            batch_bytes_max: 16 * 1024 * 1024,
            recent_events_max: 10_000,
            recent_bytes_max: 16 * 1024 * 1024,
            poll_interval: Duration::from_secs(1),
        }
    }
}

/// A log in a Postgres database. Cheap to clone; clones share connections and the sequencer.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reader: Reader,
    streams: StreamReads,
    sequencer: Sequencer,
    wakes: Arc<Wakes>,
    recent: Arc<Recent>,
    listening: CancellationToken,
}

impl Drop for Inner {
    /// The sequencer ends by itself when nobody can hand anything over.
    fn drop(&mut self) {
        self.listening.cancel();
    }
}

impl PostgresStore {
    /// Opens the log of a database that was [migrated](migrate), with a role that may read it, and
    /// append if that is wanted. Must be called within a Tokio runtime, which then runs its tasks.
    pub async fn connect(options: PgConnectOptions) -> Result<Self, StoreError> {
        Self::connect_with(options, Settings::default()).await
    }

    /// Like [`PostgresStore::connect`], with other settings.
    pub async fn connect_with(options: PgConnectOptions, settings: Settings) -> Result<Self, StoreError> {
        let options = options.disable_statement_logging();
        let reader_over = |connections| {
            let options = for_lookups(&options, settings.read_timeout);
            Reader::new(options, connections, settings.acquire_timeout, settings.read_timeout)
        };
        let reader = reader_over(settings.read_connections_max);
        let head = reader.head().await?;
        let wakes = Arc::new(Wakes::new());
        wakes.raise(head);
        let listening = CancellationToken::new();
        let listener =
            Listener::new(options.clone(), reader.clone(), Arc::clone(&wakes), settings.poll_interval);
        tokio::spawn(listener.run(listening.clone()));
        let patience = Patience {
            queue_appends_max: settings.queue_appends_max,
            batch: BatchLimits { events_max: settings.batch_events_max, bytes_max: settings.batch_bytes_max },
            try_timeout: settings.commit_timeout,
            give_up_after: settings.give_up_after,
        };
        let options = with_timeout(&options, settings.commit_timeout);
        let recent = Arc::new(Recent::new(RecentLimits {
            events_max: settings.recent_events_max,
            bytes_max: settings.recent_bytes_max,
        }));
        let sequencer = Sequencer::start(options, patience, Arc::clone(&wakes), Arc::clone(&recent), head);
        Ok(Self {
            inner: Arc::new(Inner {
                streams: StreamReads::start(reader_over(gathering::AT_ONCE)),
                reader,
                sequencer,
                wakes,
                recent,
                listening,
            }),
        })
    }
}

/// The log for those who follow it: what this process has just appended need not be read. Whoever asks for
/// a page gets it from the database.
struct Newest(PostgresStore);

#[async_trait]
impl Pages for Newest {
    async fn page(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        let Inner { recent, wakes, reader, .. } = &*self.0.inner;
        if let Some(page) = recent.page(after, filter, limit, wakes.heard_of()) {
            return Ok(page);
        }
        recent.soon_behind(after).await;
        match recent.page(after, filter, limit, wakes.heard_of()) {
            Some(page) => Ok(page),
            None => reader.page(after, filter, limit, wakes.heard_of()).await,
        }
    }
}

/// The server gives up as well, so that no statement outlives the one who asked.
fn with_timeout(options: &PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    options.clone().options([("statement_timeout", timeout.as_millis().to_string())])
}

/// Every read is a lookup by index, whatever the statistics of a young log suggest, and is planned once.
fn for_lookups(options: &PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    with_timeout(options, timeout).options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_material", "off"),
        ("jit", "off"),
    ])
}

#[async_trait]
impl EventStore for PostgresStore {
    fn numbering(&self) -> Numbering {
        Numbering::Dense
    }

    fn ids_are_unique_in(&self) -> IdScope {
        IdScope::Log
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.inner.sequencer.append(stream, expected, events).await
    }

    async fn positions_of(
        &self,
        _: &StreamName,
        appended: Appended,
        count: usize,
    ) -> Result<Vec<Position>, StoreError> {
        Ok(port::dense_positions_of(appended, count))
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        match direction {
            Direction::Forwards => self.inner.streams.read(stream, from.unwrap_or(0), limit).await,
            Direction::Backwards => self.inner.reader.stream_backwards(stream, from, limit).await,
        }
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        self.inner.reader.page(after, filter, limit, self.inner.wakes.heard_of()).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.reader.head().await
    }

    async fn find(&self, _: &StreamName, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError> {
        self.inner.reader.find(event_id).await
    }

    fn follow(&self, after: Position, filter: Filter) -> BoxStream<'static, Result<Page, StoreError>> {
        follow::follow(Newest(self.clone()), self.inner.wakes.subscribe(), after, filter)
    }

    async fn close(&self) {
        self.inner.sequencer.close().await;
        self.inner.wakes.end();
        self.inner.listening.cancel();
        tokio::join!(self.inner.reader.close(), self.inner.streams.close());
    }
}
