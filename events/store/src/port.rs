//! The port: the little that Counterfoil asks of a store, and the guarantees it gets for it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{Category, Metadata, StreamName};
use futures::stream::BoxStream;
use uuid::Uuid;

use crate::{AppendError, Hints, Numbering, Position, StoreError};

/// What a caller knows of the stream that it appends to. Revisions count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpectedRevision {
    /// It does not exist.
    NoStream,
    /// Its last event has this revision.
    Exact(u64),
    /// Nothing, and it does not matter.
    Any,
}

impl ExpectedRevision {
    /// The expectation of somebody who has read up to `revision`.
    pub fn after(revision: Option<u64>) -> Self {
        revision.map_or(Self::NoStream, Self::Exact)
    }
}

impl fmt::Display for ExpectedRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStream => f.write_str("no stream"),
            Self::Exact(revision) => write!(f, "revision {revision}"),
            Self::Any => f.write_str("any revision"),
        }
    }
}

/// Within what an event id occurs once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdScope {
    /// Everything: an id that was used for another stream is refused.
    Log,
    /// One stream: the same id in another one is another event.
    Stream,
}

/// An event that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Chosen by the caller; appending the same id twice writes it once.
    pub id: Uuid,
    /// The wire name.
    pub name: String,
    /// The schema version.
    pub version: u16,
    /// JSON, kept byte for byte.
    pub payload: Bytes,
    /// The envelope.
    pub metadata: Metadata,
}

/// An event as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Where it is in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Where it is in its stream, from 0.
    pub revision: u64,
    /// Its id.
    pub id: Uuid,
    /// The wire name.
    pub name: String,
    /// The schema version.
    pub version: u16,
    /// JSON, byte for byte as it was given.
    pub payload: Bytes,
    /// The envelope.
    pub metadata: Metadata,
    /// When the store wrote it.
    pub recorded_at: DateTime<Utc>,
}

/// Where the last event of an append was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The revision of the last event.
    pub revision: u64,
    /// The position of the last event. No event of another append is between those of one.
    pub position: Position,
    /// Events of these ids were found in the log. Most often the append had been made before; it may also
    /// be this very call, whose first try did not hear of its success. **What was found has the ids, and
    /// nothing says that it has the same content**: who cares reads it.
    pub replayed: bool,
}

/// Which way to read a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the oldest on.
    Forwards,
    /// From the newest back.
    Backwards,
}

/// Which events of the log a reader wants. The empty filter wants all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only streams of these categories; empty for all.
    pub categories: Vec<String>,
    /// Only events of these wire names; empty for all.
    pub names: Vec<String>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only streams of these categories.
    pub fn categories(categories: impl IntoIterator<Item = Category>) -> Self {
        Self {
            categories: categories.into_iter().map(|category| category.as_str().to_owned()).collect(),
            names: Vec::new(),
        }
    }

    /// Whether a reader with this filter gets the event.
    pub fn wants(&self, event: &RecordedEvent) -> bool {
        let listed =
            |list: &[String], item: &str| list.is_empty() || list.iter().any(|listed| listed == item);
        listed(&self.categories, event.stream.category()) && listed(&self.names, &event.name)
    }
}

/// A stretch of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events that the filter wants, in order. May be empty although the log goes on.
    pub events: Vec<RecordedEvent>,
    /// Everything up to here has been looked at: where to read on from, and what a checkpoint keeps.
    pub scanned: Position,
    /// Nothing was in the log behind `scanned` when this page was read.
    pub end: bool,
}

/// The store of everything that happened.
#[async_trait]
pub trait EventStore: Send + Sync + fmt::Debug + 'static {
    /// What this engine promises of its positions.
    fn numbering(&self) -> Numbering;

    /// Within what this engine keeps an event id from being written twice.
    fn ids_are_unique_in(&self) -> IdScope;

    /// Writes events at the end of one stream, all or none.
    ///
    /// Repeating an append (same stream, ids, and expectation) answers as the first time did, with
    /// `replayed` set. An append of nothing is a mistake of the caller, and `Malformed` says so.
    ///
    /// A caller that stops waiting does not know whether the append was made; repeating it is safe.
    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError>;

    /// The positions of the last `count` events of an append that was answered with `appended`, in order.
    /// The append itself tells only the last one, because not every engine knows more.
    async fn positions_of(
        &self,
        stream: &StreamName,
        appended: Appended,
        count: usize,
    ) -> Result<Vec<Position>, StoreError>;

    /// Reads at most `limit` events of one stream: forwards those with a revision of at least `from`
    /// (`None` from the first), backwards those with a revision of at most `from` (`None` from the
    /// last). A stream that does not exist has no events.
    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Reads the log in order from behind `after`, looking at no more than about `limit` events, and at
    /// one at least.
    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError>;

    /// The position of the last event; `Position::START` when there is none.
    async fn head(&self) -> Result<Position, StoreError>;

    /// Finds an event by its id: in `stream`, and where ids are unique in the whole log, wherever it is.
    async fn find(&self, stream: &StreamName, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError>;

    /// Reads everything from behind `after` and then goes on with what is appended, page by page,
    /// without gap or double, for as long as the stream is polled. Pages without events are passed on
    /// too when they move `scanned`, so that a checkpoint can follow. An outage of the store is an
    /// `Err` item, after which the stream goes on where it was.
    ///
    /// Ends when the store is closed.
    fn follow(&self, after: Position, filter: Filter) -> BoxStream<'static, Result<Page, StoreError>>;

    /// What the processes that share this log have to tell each other, so that followers hear of an append at
    /// once; `None` where the engine tells them.
    fn hints(&self) -> Option<Hints> {
        None
    }

    /// Finishes the appends that were begun and takes no more.
    async fn close(&self);
}

/// [`EventStore::positions_of`] where positions are dense: those of one append follow on each other.
pub(crate) fn dense_positions_of(appended: Appended, count: usize) -> Vec<Position> {
    let last = appended.position.number();
    (0..count as u64).rev().map(|back| Position::of(last.saturating_sub(back))).collect()
}
