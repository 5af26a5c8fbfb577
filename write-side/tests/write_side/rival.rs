//! A store at which somebody else is always faster: what happens between a decision and its append,
//! made to happen each time. It counts what is read of streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use event_store::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, IdScope, NewEvent, Numbering,
    Page, Position, RecordedEvent, StoreError, memory::MemoryStore,
};
use events::StreamName;
use futures::{future::BoxFuture, stream::BoxStream};
use uuid::Uuid;

type Meanwhile = dyn Fn(StreamName) -> BoxFuture<'static, ()> + Send + Sync;

/// A memory store that lets `meanwhile` happen before each append.
pub(crate) struct Rivalled {
    inner: MemoryStore,
    meanwhile: Box<Meanwhile>,
    events_read: Arc<AtomicUsize>,
}

impl Rivalled {
    pub(crate) fn new(
        inner: MemoryStore,
        meanwhile: impl Fn(StreamName) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, meanwhile: Box::new(meanwhile), events_read: Arc::default() }
    }

    /// Where it counts how many events of streams it has handed out.
    pub(crate) fn events_read(&self) -> Arc<AtomicUsize> {
        self.events_read.clone()
    }
}

impl std::fmt::Debug for Rivalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rivalled({:?})", self.inner)
    }
}

#[async_trait]
impl EventStore for Rivalled {
    fn numbering(&self) -> Numbering {
        self.inner.numbering()
    }

    fn ids_are_unique_in(&self) -> IdScope {
        self.inner.ids_are_unique_in()
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        (self.meanwhile)(stream.clone()).await;
        self.inner.append(stream, expected, events).await
    }

    async fn positions_of(
        &self,
        stream: &StreamName,
        appended: Appended,
        count: usize,
    ) -> Result<Vec<Position>, StoreError> {
        self.inner.positions_of(stream, appended, count).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let events = self.inner.read_stream(stream, direction, from, limit).await?;
        self.events_read.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        self.inner.read_all(after, filter, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.head().await
    }

    async fn find(&self, stream: &StreamName, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError> {
        self.inner.find(stream, event_id).await
    }

    fn follow(&self, after: Position, filter: Filter) -> BoxStream<'static, Result<Page, StoreError>> {
        self.inner.follow(after, filter)
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
