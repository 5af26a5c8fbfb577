//! The coordinator: follows what happens to orders and payments, lets the sagas decide, and performs what they
//! intend. **It may be killed at any instruction, and it may run twice**: every event of its own is written
//! with the revision that it read, every command has an id that follows from the order and the step, and the
//! checkpoint never passes what is not completely handled. Several share the work out by partitions of it.

mod boundary;
mod config;
mod error;
mod memories;
mod partition;
mod progress;
mod run;
mod saga;
mod schedule;
mod session;
mod state;
mod worker;

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool};

use chrono::{DateTime, Utc};
use event_store::EventStore;
use platform::clock::Clock;
use quick_cache::sync::Cache;
use write_side::Commands;

pub(crate) use boundary::WEBHOOK_RECEIVED;
pub use boundary::{BOUNDARIES, Interrupt};
pub use config::Config;
pub use error::Error;
pub use partition::{PARTITIONS, Partition};
pub use session::{Idle, InFlight};
pub use state::{
    Changes, Claim, CoordinatorState, Kept, Key, Lease, MemoryState, PostgresState, StateError, Wake, migrate,
};

use self::{
    session::Session,
    worker::{BEGINNINGS_MAX, Worker},
};
use crate::gateway::PaymentGateway;

/// Drives the checkouts, payments and deliveries of one store: all of them, or its share.
#[derive(Debug)]
pub struct Coordinator {
    worker: Arc<Worker>,
    state: Arc<dyn CoordinatorState>,
    /// Only used when it is driven step by step.
    session: Option<Session>,
    in_flight: Arc<Mutex<InFlight>>,
}

impl Coordinator {
    /// A coordinator that has not begun.
    pub fn new(
        store: Arc<dyn EventStore>,
        commands: Commands,
        gateway: Arc<dyn PaymentGateway>,
        clock: Clock,
        state: Arc<dyn CoordinatorState>,
        config: Config,
    ) -> Self {
        let worker = Worker {
            store,
            commands,
            gateway,
            clock,
            config,
            interrupt: None,
            state: Arc::clone(&state),
            beginnings: Cache::new(BEGINNINGS_MAX),
            met_newer_release: AtomicBool::new(false),
        };
        Self { worker: Arc::new(worker), state, session: None, in_flight: Arc::default() }
    }

    /// Asks `interrupt` at every boundary whether to stop there, as if killed.
    #[must_use]
    pub fn interrupted_by(mut self, interrupt: Arc<dyn Interrupt>) -> Self {
        if let Some(worker) = Arc::get_mut(&mut self.worker) {
            worker.interrupt = Some(interrupt);
        }
        self
    }

    /// Handles everything of its share that can be handled now, one thing after the other in a fixed order, and
    /// returns. Waits for nothing: what is due later is handled by a later call, when the clock says so.
    ///
    /// After an error nothing is remembered: the next call begins with what was kept, as a new process
    /// would.
    pub async fn run_until_idle(&mut self) -> Result<Idle, Error> {
        let mut session = self.session.take().unwrap_or_default();
        let idle = session.run_until_idle(&self.worker, self.state.as_ref()).await?;
        self.publish(session.in_flight());
        self.session = Some(session);
        Ok(idle)
    }

    /// When something is due that [`Self::run_until_idle`] left for later.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.session.as_ref().and_then(Session::next_due)
    }

    /// What the coordinator was working on when it last saved its checkpoint.
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, in_flight: InFlight) {
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = in_flight;
    }
}
