//! Read models: what the log says, laid out for those who ask.
//!
//! **No projector calls anything outside, sends a command or reads the clock**, so that replaying has
//! no side effects. **No error is skipped**: an event that cannot be applied parks its stream, loudly,
//! and the others go on. Rows and checkpoint are written in one transaction, under a fenced lease.

pub mod attention;
pub mod catalog;
pub mod feed;
pub mod orders;
pub mod payments;
pub mod sales;
pub mod stock;

mod batch;
mod checkpoints;
mod database;
mod digest;
mod entry;
mod error;
mod fact;
mod lease;
#[cfg(feature = "next-release")]
mod next_release;
mod parked;
mod partition;
mod positions;
mod projector;
mod rebuild;
mod rewinds;
mod runner;
mod sharing;
mod status;
mod versions;

use std::sync::Arc;

pub use database::migrate;
pub use digest::{DIFFERENCES_MAX, Difference};
pub use error::Error;
/// Where an answer stands in the log, for those who only know read models.
pub use event_store::Position;
pub use fact::{Event, Fact, Unreadable};
pub use parked::{Retried, retry};
pub use partition::PARTITIONS_MAX;
pub use positions::{NotFreshEnough, Positions, WaitError};
pub use projector::{ApplyError, Definition, Projector, Table, View};
pub use rebuild::{
    Progress, RebuildOptions, Rebuilt, Report, Stage, Verified, rebuild, rebuild_all, roll_back, verify,
};
pub use runner::{RunnerOptions, StandsBack, run};
pub use sharing::run_all;
pub use status::{ParkedStream, PartitionStatus, ProjectionStatus, StandingBack, status};
pub use versions::{install_all, snapshot_of};

/// Every projection, in the order in which they are listed.
pub fn all() -> Vec<Arc<dyn Projector>> {
    let all: Vec<Arc<dyn Projector>> = vec![
        Arc::new(catalog::Catalog),
        Arc::new(orders::Orders),
        Arc::new(stock::Stock),
        Arc::new(payments::Payments),
        Arc::new(sales::Sales),
        Arc::new(attention::Attention),
        Arc::new(feed::Feed),
    ];
    #[cfg(feature = "next-release")]
    let all = next_release::raised(all);
    all
}
