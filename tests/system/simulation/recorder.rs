//! The store of a simulated shop, with a transcript of its appends: what each asked, and what became of it, in
//! the order in which they reached the log. **What the fault plan kept from the log is not in the transcript;
//! what was written although its answer was lost, is.**

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use event_store::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, IdScope, NewEvent, Numbering,
    Page, Position, RecordedEvent, StoreError,
    memory::{FaultPlan, MemoryStore},
};
use events::StreamName;
use futures::stream::BoxStream;
use uuid::Uuid;

/// One append.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) stream: StreamName,
    pub(super) expected: ExpectedRevision,
    pub(super) events: Vec<NewEvent>,
    pub(super) answer: Answer,
}

/// What became of an append, as far as any engine must say the same. Positions are the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Appended {
        revision: u64,
        replayed: bool,
    },
    /// It was written, and whoever asked was not told.
    Unheard,
    Conflict {
        current: Option<u64>,
    },
    /// Each id that was found, where, in the order of the ids.
    AlreadyAppended(Vec<(Uuid, StreamName, u64)>),
    /// No store could take it.
    Unkeepable,
}

impl Answer {
    /// What the caller was answered; nothing when the store failed.
    pub(super) fn given(outcome: &Result<Appended, AppendError>) -> Option<Self> {
        Some(match outcome {
            Ok(Appended { revision, replayed, .. }) => {
                Self::Appended { revision: *revision, replayed: *replayed }
            }
            Err(AppendError::Conflict { current, .. }) => Self::Conflict { current: *current },
            Err(AppendError::AlreadyAppended { found, .. }) => {
                let at = found.iter().map(|it| (it.event_id, it.stream.clone(), it.appended.revision));
                let mut found: Vec<_> = at.collect();
                found.sort_unstable();
                Self::AlreadyAppended(found)
            }
            Err(AppendError::Malformed { .. } | AppendError::TooLarge { .. }) => Self::Unkeepable,
            Err(AppendError::Store(_)) => return None,
        })
    }
}

/// Cheap to clone; clones share the log and the transcript.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    store: MemoryStore,
    transcript: Arc<Mutex<Transcript>>,
}

#[derive(Debug, Default)]
struct Transcript {
    calls: Vec<Call>,
    /// How many events were in the log after the last append.
    events: usize,
}

impl Recorder {
    pub(super) fn before(store: MemoryStore) -> Self {
        Self { store, transcript: Arc::default() }
    }

    pub(super) fn set_faults(&self, plan: FaultPlan) {
        self.store.set_faults(plan);
    }

    pub(super) fn transcript(&self) -> Vec<Call> {
        self.transcript.lock().unwrap().calls.clone()
    }
}

#[async_trait]
impl EventStore for Recorder {
    /// Between the log and the transcript nothing waits, and a simulation has one thread, so that both have the
    /// same order: that of an append which slept is when it woke up.
    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let outcome = self.store.append(stream, expected, events.clone()).await;
        let mut transcript = self.transcript.lock().unwrap();
        let before = std::mem::replace(&mut transcript.events, self.store.events_written());
        let unheard = (transcript.events > before).then_some(Answer::Unheard);
        // One that failed and left nothing behind never came to the log, or changed nothing there.
        if let Some(answer) = Answer::given(&outcome).or(unheard) {
            transcript.calls.push(Call { stream: stream.clone(), expected, events, answer });
        }
        outcome
    }

    fn numbering(&self) -> Numbering {
        self.store.numbering()
    }

    fn ids_are_unique_in(&self) -> IdScope {
        self.store.ids_are_unique_in()
    }

    async fn positions_of(
        &self,
        stream: &StreamName,
        appended: Appended,
        count: usize,
    ) -> Result<Vec<Position>, StoreError> {
        self.store.positions_of(stream, appended, count).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.store.read_stream(stream, direction, from, limit).await
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        self.store.read_all(after, filter, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.store.head().await
    }

    async fn find(&self, stream: &StreamName, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError> {
        self.store.find(stream, event_id).await
    }

    fn follow(&self, after: Position, filter: Filter) -> BoxStream<'static, Result<Page, StoreError>> {
        self.store.follow(after, filter)
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
