//! A store at which somebody else is always faster: what happens between a decision and its append,
//! made to happen each time.

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
}

impl Rivalled {
    pub(crate) fn new(
        inner: MemoryStore,
        meanwhile: impl Fn(StreamName) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, meanwhile: Box::new(meanwhile) }
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
        self.inner.read_stream(stream, direction, from, limit).await
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
