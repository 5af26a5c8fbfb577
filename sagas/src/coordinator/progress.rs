//! How far everything is completely handled, while much is handled at once. **The checkpoint never passes an
//! event that somebody still works on.**

use std::collections::BTreeMap;

use event_store::Position;

/// What was read from the log and what of it is open.
#[derive(Debug)]
pub(super) struct Progress {
    scanned: Position,
    /// The newest position of which a job was taken on, and what had been taken on or scanned before it.
    newest: (Position, Position),
    open: BTreeMap<Position, Open>,
    saved: Position,
}

/// A position that somebody works on.
#[derive(Debug)]
struct Open {
    jobs: usize,
    /// Where the log was before it.
    before: Position,
}

impl Progress {
    /// Everything up to here was handled before.
    pub(super) fn from(checkpoint: Position) -> Self {
        Self {
            scanned: checkpoint,
            newest: (checkpoint, checkpoint),
            open: BTreeMap::new(),
            saved: checkpoint,
        }
    }

    /// A job for the event at this position was taken on. They come in the order of the log.
    pub(super) fn taken(&mut self, position: Position) {
        let (newest, _) = self.newest;
        if position > newest {
            self.newest = (position, newest.max(self.scanned));
        }
        let (_, before) = self.newest;
        self.open.entry(position).or_insert(Open { jobs: 0, before }).jobs += 1;
    }

    /// One of the jobs of this position is finished.
    pub(super) fn finished(&mut self, position: Position) {
        if let Some(open) = self.open.get_mut(&position) {
            open.jobs -= 1;
            if open.jobs == 0 {
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
        self.open.first_key_value().map_or(self.scanned, |(_, open)| open.before)
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

    fn at(column: i64) -> Position {
        Position::from_column(column).unwrap_or_default()
    }

    #[test]
    fn the_checkpoint_stays_behind_the_first_event_that_is_not_handled() {
        let mut progress = Progress::from(at(10));
        for position in [11, 12, 12, 14] {
            progress.taken(at(position));
        }
        progress.scanned(at(20));
        assert_eq!(progress.checkpoint(), at(10));
        progress.finished(at(14));
        progress.finished(at(11));
        assert_eq!(progress.checkpoint(), at(11));
        progress.finished(at(12));
        assert_eq!(progress.checkpoint(), at(11));
        progress.finished(at(12));
        assert_eq!(progress.checkpoint(), at(20));
    }

    #[test]
    fn a_saved_checkpoint_has_moved_only_when_it_is_passed() {
        let mut progress = Progress::from(at(10));
        assert!(!progress.has_moved());
        progress.scanned(at(11));
        assert!(progress.has_moved());
        progress.saved(progress.checkpoint());
        assert!(!progress.has_moved());
    }
}
