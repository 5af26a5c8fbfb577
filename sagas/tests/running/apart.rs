//! A coordinator that can be paused as a process can: nothing of it goes on, and its connections stay.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use sagas::coordinator::{Changes, Claim, CoordinatorState, Kept, Lease, Partition, StateError};
use tokio::{runtime, sync::oneshot};

use crate::place::Place;

/// Remembers for which partitions somebody was refused.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn CoordinatorState>,
    refused: Arc<Mutex<BTreeSet<Partition>>>,
    /// Held while the database is asked.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[async_trait]
impl CoordinatorState for Watched {
    async fn claim(&self, holder: &str, ttl: Duration, holds: &[Partition]) -> Result<Claim, StateError> {
        let _asking = self.asking.lock().await;
        self.inner.claim(holder, ttl, holds).await
    }

    async fn load(&self, partitions: &[Partition]) -> Result<Vec<Kept>, StateError> {
        self.inner.load(partitions).await
    }

    async fn save(&self, ttl: Duration, changes: &[Changes]) -> Result<Vec<Partition>, StateError> {
        let _asking = self.asking.lock().await;
        let lost = self.inner.save(ttl, changes).await?;
        self.refused.lock().unwrap().extend(&lost);
        Ok(lost)
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StateError> {
        self.inner.release(leases).await
    }

    async fn leave(&self, holder: &str) -> Result<(), StateError> {
        self.inner.leave(holder).await
    }
}

/// A coordinator in a process of its own, as far as threads and connections go.
pub(crate) struct Apart {
    runtime: runtime::Handle,
    pub(crate) refused: Arc<Mutex<BTreeSet<Partition>>>,
    asking: Arc<tokio::sync::Mutex<()>>,
    pub(crate) shut_down: oneshot::Sender<()>,
    pub(crate) thread: std::thread::JoinHandle<()>,
}

impl Apart {
    pub(crate) fn run(place: &Arc<Place>, holder: &'static str) -> Self {
        let refused = Arc::new(Mutex::default());
        let asking = Arc::new(tokio::sync::Mutex::default());
        let (shut_down, stop) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (place, watched, quiet) = (place.clone(), Arc::clone(&refused), Arc::clone(&asking));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let mut shop = place.shop().await;
                shop.state = Arc::new(Watched { inner: shop.state, refused: watched, asking: quiet });
                let running = shop.run(holder);
                stop.await.unwrap();
                running.shut_down().await;
            });
        });
        Self { runtime: handle, refused, asking, shut_down, thread }
    }

    /// Nothing in it goes on for so long. Not in the middle of a transaction: what then becomes of it only its
    /// own clock would tell, and no refusal.
    pub(crate) async fn pause(&self, length: Duration) {
        let asking = Arc::clone(&self.asking);
        let pausing = async move {
            let _quiet = asking.lock().await;
            std::thread::sleep(length);
        };
        self.runtime.spawn(pausing).await.unwrap();
    }
}
