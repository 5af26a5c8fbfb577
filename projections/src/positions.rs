//! Where each read model has got to, for readers that wait for a position. One notification a batch
//! wakes them up; since a notification can be lost with its connection, they also look now and then.

use std::{collections::HashMap, sync::Arc, time::Duration};

use event_store::Position;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgListener};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    partition::{PARTITIONS_MAX, Partition},
    versions,
};

/// The channel of the notifications: `name position`, or `name position number/of` from a partition.
pub(crate) const CHANNEL: &str = "counterfoil_projections";

/// The notification that a partition has got to a position. Partitions that commit at the same time do not
/// see each other, so each tells of itself, and who listens knows the least. A release that knows no
/// partitions cannot read what they say, and looks for itself.
pub(crate) fn told(projection: &str, position: Position, partition: Partition) -> String {
    if partition.is_part() {
        format!("{projection} {position} {}/{}", partition.number, partition.of)
    } else {
        format!("{projection} {position}")
    }
}

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
    seen: Arc<watch::Sender<HashMap<String, Seen>>>,
}

/// What is known of one read model: where each partition is at least.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen(Vec<Position>);

impl Default for Seen {
    fn default() -> Self {
        Self(vec![Position::START])
    }
}

impl Seen {
    /// What all partitions have got to.
    fn position(&self) -> Position {
        self.0.iter().copied().min().unwrap_or(Position::START)
    }

    /// Takes in where a partition is. A read model never goes back: when it has another number of
    /// partitions, each of them has got at least to where it was before.
    fn is_at(&mut self, partition: Partition, position: Position) {
        let of = usize::try_from(partition.of).unwrap_or(1);
        if self.0.len() != of {
            self.0 = vec![self.position(); of];
        }
        let nth = usize::try_from(partition.number - 1).unwrap_or(0);
        if let Some(seen) = self.0.get_mut(nth) {
            *seen = position;
        }
    }
}

/// Reads a notification.
fn read(told: &str) -> Option<(&str, Position, Partition)> {
    let mut words = told.split(' ');
    let (name, position) = (words.next()?, words.next()?.parse().ok()?);
    let Some(partition) = words.next() else { return Some((name, position, Partition::WHOLE)) };
    let (number, of) = partition.split_once('/')?;
    let partition = Partition { number: number.parse().ok()?, of: of.parse().ok()? };
    let is_one = (1..=i16::from(PARTITIONS_MAX)).contains(&partition.of)
        && (1..=partition.of).contains(&partition.number);
    is_one.then_some((name, position, partition))
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

    /// Waits until a read model has got to `wanted`, but not past `deadline`. The database is asked only where
    /// nobody has told of it; **whoever reads then must look at the position that it reads with**: a read model
    /// goes back when its server crashes, or when it is dropped and made anew.
    pub async fn wait_for(
        &self,
        projection: &'static str,
        wanted: Position,
        deadline: Instant,
    ) -> Result<Position, WaitError> {
        let mut seen = self.seen.subscribe();
        loop {
            let told = seen.borrow_and_update().get(projection).map(Seen::position);
            if let Some(told) = told.filter(|told| *told >= wanted) {
                return Ok(told);
            }
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
                    if seen.borrow_and_update().get(projection).is_some_and(|at| at.position() >= wanted) {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout_at(deadline.min(now + LOOK_AGAIN), reached).await;
        }
    }

    /// What was told of a read model is not so any more.
    pub fn forget(&self, projection: &'static str) {
        self.seen.send_modify(|seen| {
            seen.remove(projection);
        });
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
        let moved = seen.wait_for(|seen| seen.get(projection).is_some_and(|at| at.position() > position));
        let seen = tokio::time::timeout(at_most, moved).await.ok()?.ok()?;
        seen.get(projection).map(Seen::position)
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
            let Some((name, position, partition)) = read(notification.payload()) else { continue };
            self.seen.send_modify(|seen| {
                seen.entry(name.to_owned()).or_default().is_at(partition, position);
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(column: i64) -> Position {
        Position::from_column(column).unwrap()
    }

    fn part(number: i16, of: i16) -> Partition {
        Partition { number, of }
    }

    #[test]
    fn a_split_read_model_is_where_its_slowest_partition_is() {
        let mut seen = Seen::default();
        seen.is_at(Partition::WHOLE, at(10));
        seen.is_at(part(1, 3), at(30));
        seen.is_at(part(3, 3), at(20));
        assert_eq!(seen.position(), at(10), "partition 2 has said nothing yet");
        seen.is_at(part(2, 3), at(25));
        assert_eq!(seen.position(), at(20));
        // Split otherwise: none is told to be behind where the read model was.
        seen.is_at(part(1, 2), at(40));
        assert_eq!(seen.position(), at(20));
        seen.is_at(Partition::WHOLE, at(40));
        assert_eq!(seen.position(), at(40));
    }

    #[test]
    fn what_one_partition_tells_the_other_side_reads() {
        for partition in [Partition::WHOLE, part(2, 4)] {
            let told = told("orders", at(7), partition);
            assert_eq!(read(&told), Some(("orders", at(7), partition)));
        }
        for strange in ["orders", "orders x", "orders 7 2", "orders 7 0/4", "orders 7 5/4", "orders 7 1/9999"]
        {
            assert_eq!(read(strange), None, "{strange}");
        }
    }
}
