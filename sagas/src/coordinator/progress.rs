//! How far everything is completely handled, while much is handled at once. **The checkpoint never passes an
//! event that somebody still works on.**

use std::collections::BTreeMap;

use event_store::Position;

/// What was read from the log and what of it is open.
#[derive(Debug)]
pub(super) struct Progress {
    scanned: Position,
    /// How many jobs of each position are open.
    open: BTreeMap<Position, usize>,
    saved: Position,
}

impl Progress {
    /// Everything up to here was handled before.
    pub(super) fn from(checkpoint: Position) -> Self {
        Self { scanned: checkpoint, open: BTreeMap::new(), saved: checkpoint }
    }

    /// A job for the event at this position was taken on.
    pub(super) fn taken(&mut self, position: Position) {
        *self.open.entry(position).or_default() += 1;
    }

    /// One of the jobs of this position is finished.
    pub(super) fn finished(&mut self, position: Position) {
        if let Some(jobs) = self.open.get_mut(&position) {
            *jobs -= 1;
            if *jobs == 0 {
                self.open.remove(&position);
            }
        }
    }

    /// The jobs for everything up to here were taken on.
    pub(super) fn scanned(&mut self, position: Position) {
        self.scanned = self.scanned.max(position);
    }

    /// Where to read on.
    pub(super) fn cursor(&self) -> Position {
        self.scanned
    }

    /// Everything up to here is completely handled.
    pub(super) fn checkpoint(&self) -> Position {
        self.open.first_key_value().map_or(self.scanned, |(open, _)| Position(open.0 - 1))
    }

    /// How many positions are open.
    pub(super) fn backlog(&self) -> usize {
        self.open.len()
    }

    /// Whether the checkpoint has moved since it was saved.
    pub(super) fn has_moved(&self) -> bool {
        self.checkpoint() > self.saved
    }

    /// The checkpoint was saved.
    pub(super) fn saved(&mut self, checkpoint: Position) {
        self.saved = checkpoint;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_stays_behind_the_first_event_that_is_not_handled() {
        let mut progress = Progress::from(Position(10));
        for position in [11, 12, 12, 14] {
            progress.taken(Position(position));
        }
        progress.scanned(Position(20));
        assert_eq!(progress.checkpoint(), Position(10));
        progress.finished(Position(14));
        progress.finished(Position(11));
        assert_eq!(progress.checkpoint(), Position(11));
        progress.finished(Position(12));
        assert_eq!(progress.checkpoint(), Position(11));
        progress.finished(Position(12));
        assert_eq!(progress.checkpoint(), Position(20));
    }

    #[test]
    fn a_saved_checkpoint_has_moved_only_when_it_is_passed() {
        let mut progress = Progress::from(Position(10));
        assert!(!progress.has_moved());
        progress.scanned(Position(11));
        assert!(progress.has_moved());
        progress.saved(progress.checkpoint());
        assert!(!progress.has_moved());
    }
}
