//! The log of a world, given to followers in stretches of a random length: what a batch is in life
//! depends on who was faster.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use event_store::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, IdScope, NewEvent, Numbering,
    Page, Position, RecordedEvent, StoreError, memory::MemoryStore,
};
use events::StreamName;
use futures::stream::{self, BoxStream, StreamExt};
use projections::{Projector, RunnerOptions};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{Running, World};

impl World {
    /// Runs one projection until it is at the end of the log, in batches of 1 to `events_max` events.
    pub async fn catch_up_in_pieces(&self, projection: Arc<dyn Projector>, events_max: usize, seed: u64) {
        let name = projection.definition().name;
        let store = Arc::new(Cut { store: self.store.clone(), events_max, seed });
        // A piece is a batch: none is put together with the next one.
        let options = RunnerOptions { batch_events_max: 1, ..RunnerOptions::default() };
        let shutdown = CancellationToken::new();
        let projector = self.databases.projector.clone();
        let running = tokio::spawn(projections::run(projection, store, projector, options, shutdown.clone()));
        self.reached(name, self.store.head().await.unwrap()).await;
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }
}

impl World {
    /// Starts a process that runs its share of these, in batches of 1 to `events_max` events.
    pub fn process_in_pieces(
        &self,
        projections: Vec<Arc<dyn Projector>>,
        holder: &str,
        events_max: usize,
        seed: u64,
    ) -> Running {
        let store = Arc::new(Cut { store: self.store.clone(), events_max, seed });
        self.process_on(store, projections, holder, 1)
    }
}

/// A store whose followers get 1 to `events_max` events of the log at a time.
#[derive(Clone)]
pub struct Cut {
    pub store: Arc<MemoryStore>,
    pub events_max: usize,
    pub seed: u64,
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up to {} events at a time", self.events_max)
    }
}

#[async_trait]
impl EventStore for Cut {
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

    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.store.append(stream, expected, events).await
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
        let start = (self.clone(), StdRng::seed_from_u64(self.seed), after);
        stream::unfold(start, move |(cut, mut chance, after)| {
            let filter = filter.clone();
            async move {
                loop {
                    let limit = chance.random_range(1..=cut.events_max);
                    match cut.store.read_all(after, &filter, limit).await {
                        Ok(page) if page.scanned == after => {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                        Ok(page) => {
                            let scanned = page.scanned;
                            return Some((Ok(page), (cut, chance, scanned)));
                        }
                        Err(error) => return Some((Err(error), (cut, chance, after))),
                    }
                }
            }
        })
        .boxed()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
