//! How processes that share a log wake each other up, where its engine does not do that. **A hint is never the
//! truth**: whoever gets one looks at the log, and goes by what is there; whoever gets none looks by and by.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::{Position, follow::Wakes};

/// One process's end of it: what is to be told to the others, and where to say what they tell.
#[derive(Debug, Clone)]
pub struct Hints {
    appended: watch::Receiver<Position>,
    known: Arc<Wakes>,
    look: Arc<Notify>,
}

impl Hints {
    #[cfg(feature = "eventstoredb")]
    pub(crate) fn new(appended: &Wakes, known: Arc<Wakes>, look: Arc<Notify>) -> Self {
        Self { appended: appended.subscribe(), known, look }
    }

    /// Waits until this process has appended something since this was last answered, and answers how far that
    /// reaches; `None` when the store was closed.
    pub async fn appended(&mut self) -> Option<Position> {
        self.appended.changed().await.ok()?;
        Some(*self.appended.borrow_and_update())
    }

    /// Another process says that the log reaches this far. Unless that is known, or nobody here follows, the log is
    /// looked at now.
    pub fn look_for(&self, position: Position) {
        if position > self.known.heard_of() && self.known.are_awaited() {
            self.look.notify_one();
        }
    }
}
