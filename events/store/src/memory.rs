//! The store in memory, for tests and simulation. It keeps every promise of the port except to
//! outlive the process, and breaks down on purpose where its [`FaultPlan`] says so.

mod faults;
mod log;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use events::StreamName;
use futures::stream::BoxStream;
use uuid::Uuid;

pub use faults::{Fault, FaultPlan, Operation};

use crate::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, IdScope, NewEvent, Numbering,
    Page, Position, RecordedEvent, StoreError, follow, follow::Wakes, limits, port,
};
use log::Log;

/// A log that lives as long as its last clone. Cheap to clone; clones share the log.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    log: Mutex<Log>,
    faults: Mutex<FaultPlan>,
    wakes: Wakes,
    time: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl MemoryStore {
    /// An empty store that records the machine's time.
    #[allow(clippy::disallowed_methods, reason = "the store's own time; `with_time` is for everything else")]
    pub fn new() -> Self {
        Self::with_time(Utc::now)
    }

    /// An empty store that asks `time` when an event is recorded.
    pub fn with_time(time: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                log: Mutex::new(Log::default()),
                faults: Mutex::new(FaultPlan::none()),
                wakes: Wakes::new(),
                time: Box::new(time),
            }),
        }
    }

    /// From now on goes wrong as `plan` says; calls are counted anew.
    pub fn set_faults(&self, plan: FaultPlan) {
        *lock(&self.shared.faults) = plan;
    }

    /// How many events are in the log. Not a call: no plan makes it fail, and none counts it. It tells
    /// whoever watches from outside whether an append that had no answer was made.
    pub fn events_written(&self) -> usize {
        lock(&self.shared.log).len()
    }

    /// Lets the plan have its way with a call, and answers what is left to do afterwards.
    async fn meet_fault(&self, operation: Operation) -> Result<Option<AnswerLost>, StoreError> {
        if self.shared.wakes.have_ended() {
            return Err(StoreError::Unavailable {
                doing: operation.doing(),
                reason: "the store was closed".to_owned(),
            });
        }
        // Nothing here ever waits, so that a busy caller would keep others from running at all.
        tokio::task::coop::consume_budget().await;
        let fault = lock(&self.shared.faults).next(operation);
        match fault {
            None => Ok(None),
            Some(Fault::Before) => Err(StoreError::Unavailable {
                doing: operation.doing(),
                reason: "the plan let it fail before anything happened".to_owned(),
            }),
            Some(Fault::After) => Ok(Some(AnswerLost(operation))),
            Some(Fault::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                Ok(None)
            }
        }
    }

    async fn read<T>(&self, read: impl FnOnce(&Log) -> T) -> Result<T, StoreError> {
        if let Some(lost) = self.meet_fault(Operation::Read).await? {
            return Err(lost.into());
        }
        Ok(read(&lock(&self.shared.log)))
    }
}

/// The call is made, but its answer does not arrive.
struct AnswerLost(Operation);

impl From<AnswerLost> for StoreError {
    fn from(lost: AnswerLost) -> Self {
        Self::Unavailable { doing: lost.0.doing(), reason: "the plan lost the answer".to_owned() }
    }
}

/// Nothing panics between locking and unlocking, and what is locked is whole in any case.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore(head {})", lock(&self.shared.log).head())
    }
}

#[async_trait]
impl EventStore for MemoryStore {
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
        limits::check(stream, &events)?;
        let lost = self.meet_fault(Operation::Append).await?;
        let appended = {
            let mut log = lock(&self.shared.log);
            // No store keeps more of a second than the least exact of them.
            let recorded_at = (self.shared.time)().trunc_subsecs(6);
            let appended = log.append(stream, expected, events, recorded_at)?;
            self.shared.wakes.raise(log.head());
            appended
        };
        lost.map_or(Ok(appended), |lost| Err(StoreError::from(lost).into()))
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
        self.read(|log| log.read_stream(stream, direction, from, limit)).await
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        self.read(|log| log.read_all(after, filter, limit)).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.read(Log::head).await
    }

    async fn find(&self, _: &StreamName, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError> {
        self.read(|log| log.find(event_id)).await
    }

    fn follow(&self, after: Position, filter: Filter) -> BoxStream<'static, Result<Page, StoreError>> {
        follow::follow(self.clone(), self.shared.wakes.subscribe(), after, filter)
    }

    async fn close(&self) {
        self.shared.wakes.end();
    }
}
