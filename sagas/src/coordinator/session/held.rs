//! What is known of one partition while its lease is held. With the lease all of it goes: the next holder
//! begins with what was kept.

use event_store::Position;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::coordinator::{
    memories::Memories,
    progress::Progress,
    schedule::Schedule,
    state::{Changes, Kept, Lease},
};

/// How many keys of a partition a generation of memories has.
const REMEMBERED: usize = 1024;

/// A partition that is ours.
#[derive(Debug)]
pub(in crate::coordinator) struct Held {
    pub(in crate::coordinator) lease: Lease,
    pub(in crate::coordinator) progress: Progress,
    pub(in crate::coordinator) schedule: Schedule,
    pub(in crate::coordinator) memories: Memories,
    /// Tells its steps that wait for better times to wait no longer.
    pub(in crate::coordinator) stopping: CancellationToken,
    /// When it is given back at the latest, once that was decided; nothing is begun any more then.
    pub(in crate::coordinator) leaves_by: Option<Instant>,
}

impl Held {
    pub(super) fn new(lease: Lease, kept: Kept) -> Self {
        Self {
            lease,
            progress: Progress::from(kept.checkpoint),
            schedule: Schedule::restored(kept.wakes),
            memories: Memories::of_generation(REMEMBERED),
            stopping: CancellationToken::new(),
            leaves_by: None,
        }
    }

    /// Whether new work is begun.
    pub(super) fn is_driven(&self) -> bool {
        self.leaves_by.is_none()
    }

    /// The jobs for everything up to here were taken on. Of a partition that is given back none are.
    pub(super) fn scanned(&mut self, position: Position) {
        if self.is_driven() {
            self.progress.scanned(position);
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        self.progress.has_moved() || self.schedule.has_changes()
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        let wakes = self.schedule.take_changes();
        Changes { lease: self.lease, checkpoint: self.progress.checkpoint(), wakes }
    }
}
