//! The store in EventStoreDB (or KurrentDB, which speaks the same protocol): the engine for those who
//! outgrow one machine.
//!
//! What differs from the other adapters, and why:
//! - **Positions are ordered and not dense.** A position is the commit position of the event. Servers of
//!   today write every event with its prepare position equal to it; an event where they differ was
//!   written by an explicit transaction of old, could share its position with others, and is refused.
//! - **An event id occurs once in a stream, not once in the log**: there is no index of ids over there.
//!   The ids of a stream are remembered here as far as it was read ([`known`]).
//! - **Every append expects a revision**, also one that expects nothing: only then does the server
//!   recognize a repeat. Whether the answer is that of the first time is told by an id that each append
//!   writes into its events, and that is read back.
//! - **Followers read finite pages** and are woken by a poll, or sooner by the [`Hints`] of other processes.
//!   The client's subscriptions spin when a server ends one cleanly.
//! - **One server can hold several shops**, each under a `namespace` of the URL, which is the first part
//!   of its streams' names. Events of others are passed over, as are the server's own.
//!
//! **What it costs.** The client leaves Nagle's algorithm on and sends the head and the body of a call apart,
//! so that on Linux each call waits about 40 ms for a delayed acknowledgement, whatever the server does; an
//! append is two calls. Calls that are under way at once share that wait.
//!
//! The contract suite runs on a stand-in of the server, over real gRPC. What that cannot prove, and only
//! a run against a real server does (`make test-eventstoredb`):
//! - a repeat of which the server knows only a part, or that it has forgotten: how far back it recognizes
//!   ids, and that it never takes a part of a batch;
//! - the values of positions: that the position of an append is that of its last event, also in the answer
//!   to a repeat (nothing here relies on it), and that a read may begin at any position seen before, also
//!   after a scavenge;
//! - soft deletes, tombstones, `$maxCount` and truncation: history that somebody removed is reported as a
//!   hole where it shows, and a stream that was soft-deleted whole looks as if it had never been;
//! - leaders, elections and redirects: reads and appends insist on the leader, and are tried again where
//!   a follower refuses them;
//! - access lists, TLS and certificates;
//! - the server's own limits: it must be started with a `MaxAppendSize` of 16 MiB, or as near to it as it
//!   lets itself be set (16,767,216 bytes in 24.10), or appends that the other adapters take are refused as
//!   too large; and what it does when its disk is full.

mod address;
mod appending;
mod failure;
mod known;
mod reading;
mod record;
mod session;
mod watching;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use events::StreamName;
use futures::stream::BoxStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{address::Address, appending::Appender, reading::Reader, session::Session};
use crate::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, Hints, IdScope, NewEvent,
    Numbering, OpenError, Page, Position, RecordedEvent, StoreError, follow, follow::Wakes,
};

/// How an [`EventStoreDbStore`] deals with load and outages. The defaults suit a service.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long one try of an append may take.
    pub append_timeout: Duration,
    /// How long one try of a read may take.
    pub read_timeout: Duration,
    /// How long after it was handed over an append is given up, when the server is away.
    pub give_up_after: Duration,
    /// How often a read is tried.
    pub read_tries_max: u32,
    /// How many appends are under way at once; more wait.
    pub appends_at_once_max: usize,
    /// How often it is looked whether others have appended.
    pub poll_interval: Duration,
    /// How many event ids are remembered, over all streams.
    pub known_ids_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            append_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(20),
            give_up_after: Duration::from_secs(15),
            read_tries_max: 3,
            appends_at_once_max: 256,
            poll_interval: Duration::from_millis(200),
            known_ids_max: 1_000_000,
        }
    }
}

/// A log in an EventStoreDB server or cluster. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct EventStoreDbStore {
    inner: Arc<Inner>,
}

struct Inner {
    reader: Reader,
    appender: Appender,
    wakes: Arc<Wakes>,
    appended: Arc<Wakes>,
    look: Arc<Notify>,
    watching: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.watching.cancel();
    }
}

impl EventStoreDbStore {
    /// Opens the log that `url` names: `esdb://user:password@host:2113?tls=true&namespace=shop`. Must be
    /// called within a Tokio runtime, which then runs its tasks, and before anything else in the process
    /// installs a default provider for rustls.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        Self::connect_with(url, Settings::default()).await
    }

    /// Like [`EventStoreDbStore::connect`], with other settings.
    pub async fn connect_with(url: &str, settings: Settings) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        let session = Session::new(address.client.clone())?;
        let reader = Reader::new(session, address.namespace.clone(), settings);
        let end = match reader.end_of_everything().await {
            Ok(end) => end,
            Err(failure) => return Err(address.explain(&failure).await),
        };
        let wakes = Arc::new(Wakes::new());
        wakes.raise(end);
        let (watching, look) = (CancellationToken::new(), Arc::new(Notify::new()));
        let watch =
            watching::watch(reader.clone(), Arc::clone(&wakes), Arc::clone(&look), settings.poll_interval);
        tokio::spawn(watching.clone().run_until_cancelled_owned(watch));
        let appended = Arc::new(Wakes::new());
        let appender = Appender::new(reader.clone(), Arc::clone(&wakes), Arc::clone(&appended), settings);
        Ok(Self { inner: Arc::new(Inner { reader, appender, wakes, appended, look, watching }) })
    }
}

impl fmt::Debug for EventStoreDbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStoreDbStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for EventStoreDbStore {
    fn numbering(&self) -> Numbering {
        Numbering::Sparse
    }

    fn ids_are_unique_in(&self) -> IdScope {
        IdScope::Stream
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.inner.appender.append(stream, expected, events).await
    }

    async fn positions_of(
        &self,
        stream: &StreamName,
        appended: Appended,
        count: usize,
    ) -> Result<Vec<Position>, StoreError> {
        if count <= 1 {
            return Ok(vec![appended.position; count]);
        }
        let last = Some(appended.revision);
        let events = self.inner.reader.stream(stream, Direction::Backwards, last, count).await?;
        if events.len() != count {
            let reason = format!("{stream} has fewer events up to {} than were appended", appended.revision);
            return Err(StoreError::Corrupt { reason });
        }
        Ok(events.iter().rev().map(|stored| stored.recorded.position).collect())
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let events = self.inner.reader.stream(stream, direction, from, limit).await?;
        Ok(events.into_iter().map(|stored| stored.recorded).collect())
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        self.inner.reader.page(after, filter, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.reader.head().await
    }

    async fn find(&self, stream: &StreamName, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError> {
        self.inner.appender.find(stream, event_id).await
    }

    fn follow(&self, after: Position, filter: Filter) -> BoxStream<'static, Result<Page, StoreError>> {
        follow::follow(self.clone(), self.inner.wakes.subscribe(), after, filter)
    }

    fn hints(&self) -> Option<Hints> {
        let Inner { wakes, appended, look, .. } = &*self.inner;
        Some(Hints::new(appended, Arc::clone(wakes), Arc::clone(look)))
    }

    async fn close(&self) {
        self.inner.appender.close().await;
        self.inner.wakes.end();
        self.inner.appended.end();
        self.inner.watching.cancel();
    }
}
