//! Where each read model has got to, for readers that wait for a position. One notification a batch
//! wakes them up; since a notification can be lost with its connection, they also look now and then.

use std::{collections::HashMap, sync::Arc, time::Duration};

use event_store::Position;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgListener};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::versions;

/// The channel of the notifications: `name position`.
pub(crate) const CHANNEL: &str = "counterfoil_projections";

/// How long a reader waits at most before it looks for itself.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long to wait before listening again after the connection was lost.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// The read model is not as fresh as was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the read model is at position {current}, not yet at {wanted}")]
pub struct NotFreshEnough {
    /// Where it is.
    pub current: Position,
    /// What was asked for.
    pub wanted: Position,
}

/// Why waiting for a position ended without it.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The time was over.
    #[error(transparent)]
    NotFreshEnough(#[from] NotFreshEnough),
    /// The database cannot be asked.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The positions of all read models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Positions {
    reader: PgPool,
    seen: Arc<watch::Sender<HashMap<String, Position>>>,
}

impl Positions {
    /// Listens until `shutdown`, with a connection of the reader's role.
    pub fn start(reader: PgPool, shutdown: CancellationToken) -> Self {
        let positions = Self { reader, seen: Arc::new(watch::Sender::default()) };
        let listening = positions.clone();
        tokio::spawn(async move {
            shutdown.run_until_cancelled(listening.listen()).await;
        });
        positions
    }

    /// Where a read model is, as the database says now.
    pub async fn current(&self, projection: &'static str) -> Result<Position, sqlx::Error> {
        let sql = format!("select position from read.{projection}_position");
        let position: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.reader).await?;
        versions::position_from(position)
    }

    /// Waits until a read model has got to `wanted`, but not past `deadline`.
    pub async fn wait_for(
        &self,
        projection: &'static str,
        wanted: Position,
        deadline: Instant,
    ) -> Result<Position, WaitError> {
        let mut seen = self.seen.subscribe();
        loop {
            seen.mark_unchanged();
            let current = self.current(projection).await?;
            if current >= wanted {
                return Ok(current);
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(NotFreshEnough { current, wanted }.into());
            }
            // Only what is told from here on counts: what was told before led to this look.
            let reached = async {
                while seen.changed().await.is_ok() {
                    if seen.borrow_and_update().get(projection).is_some_and(|at| *at >= wanted) {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout_at(deadline.min(now + LOOK_AGAIN), reached).await;
        }
    }

    /// Waits until it is told that a read model has moved behind `position`, but no longer than
    /// `at_most`.
    pub async fn moved(
        &self,
        projection: &'static str,
        position: Position,
        at_most: Duration,
    ) -> Option<Position> {
        let mut seen = self.seen.subscribe();
        let moved = seen.wait_for(|seen| seen.get(projection).is_some_and(|at| *at > position));
        let seen = tokio::time::timeout(at_most, moved).await.ok()?.ok()?;
        seen.get(projection).copied()
    }

    /// Takes notifications in, over as many connections as it takes.
    async fn listen(&self) {
        loop {
            if let Err(error) = self.listen_once().await {
                tracing::warn!(%error, "lost the connection that tells of new positions; readers look for themselves");
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    async fn listen_once(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.reader).await?;
        listener.listen(CHANNEL).await?;
        while let Some(notification) = listener.try_recv().await? {
            let Some((name, position)) = notification.payload().split_once(' ') else { continue };
            let Ok(position) = position.parse() else { continue };
            self.seen.send_modify(|seen| {
                seen.insert(name.to_owned(), position);
            });
        }
        Ok(())
    }
}
