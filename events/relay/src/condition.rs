//! How the relay of this process is doing, for the health check, and the one line of log that an outage gets.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// How a relay is doing. Clones share it.
#[derive(Debug, Clone)]
pub struct Condition(Arc<Mutex<Now>>);

#[derive(Debug)]
enum Now {
    Beginning,
    /// Publishing, or ready to take over from who does.
    Well {
        publishing: bool,
    },
    Away {
        since: Instant,
        kind: &'static str,
        reason: String,
    },
}

/// Why a relay is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It has not come to NATS yet.
    #[error("it has not connected to NATS yet")]
    Beginning,
    /// Something is in the way.
    #[error("{0}")]
    Away(String),
}

impl Condition {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Now::Beginning)))
    }

    /// Whether it is ready: publishing, or standing by for another process that does.
    pub fn ready(&self) -> Result<(), NotReady> {
        match &*self.lock() {
            Now::Well { .. } => Ok(()),
            Now::Beginning => Err(NotReady::Beginning),
            Now::Away { reason, .. } => Err(NotReady::Away(reason.clone())),
        }
    }

    /// Whether this process is the one that publishes.
    pub fn is_publishing(&self) -> bool {
        matches!(&*self.lock(), Now::Well { publishing: true })
    }

    /// It works.
    pub(crate) fn well(&self, publishing: bool) {
        let before = std::mem::replace(&mut *self.lock(), Now::Well { publishing });
        if let Now::Away { since, .. } = before {
            tracing::info!(outage = ?since.elapsed(), "the relay goes on");
        }
    }

    /// It does not. The log hears of an outage once, and again only when the reason is of another kind.
    pub(crate) fn away(&self, error: &crate::Error) {
        let mut now = self.lock();
        let (since, is_news) = match &*now {
            Now::Away { since, kind, .. } => (*since, *kind != error.kind()),
            Now::Beginning | Now::Well { .. } => (Instant::now(), true),
        };
        if is_news {
            tracing::warn!(%error, "the relay cannot publish, and tries again until it can");
        } else {
            tracing::debug!(%error, outage = ?since.elapsed(), "the relay still cannot publish");
        }
        *now = Now::Away { since, kind: error.kind(), reason: error.to_string() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
