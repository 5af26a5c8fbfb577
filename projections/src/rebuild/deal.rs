//! One reader of the log deals the events out to those who fill versions with them: to the workers of one read
//! model, or of several that are rebuilt at the same time, so that the log is read once for all of them. Who is
//! slow keeps the reader waiting, so that little of the log is in memory at any time.

use std::sync::Arc;

use event_store::{EventStore, Filter, Position, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{batch::Batch, entry::Entry, partition::share_of};

/// How many events are read, and written by all workers of a version together, at a time.
pub(super) const PAGE: usize = 4_000;

/// A version that is filled from the log.
#[derive(Debug)]
pub(super) struct Consumer {
    /// Which events it wants.
    pub(super) filter: Filter,
    /// Behind which position it begins.
    pub(super) first: Position,
    /// Where it ends.
    pub(super) target: Position,
    /// Where its workers take their events from, by the numbers of their shards.
    pub(super) queues: Vec<mpsc::Sender<Batch>>,
    /// Hears when everything is dealt out, or why not.
    pub(super) outcome: oneshot::Sender<Result<(), StoreError>>,
}

/// Deals to those who come until the last sender is gone. It waits for all of them before it begins.
pub(super) async fn deal_to_all(
    mut coming: mpsc::Receiver<Consumer>,
    store: Arc<dyn EventStore>,
    shutdown: CancellationToken,
) {
    let mut consumers = Vec::new();
    while let Some(consumer) = coming.recv().await {
        consumers.push(consumer);
    }
    deal(consumers, &*store, &shutdown).await;
}

/// Reads the log and deals it out, until everybody is at his target.
pub(super) async fn deal(mut consumers: Vec<Consumer>, store: &dyn EventStore, shutdown: &CancellationToken) {
    let filter = match &*consumers {
        [alone] => alone.filter.clone(),
        _ => Filter::all(),
    };
    let mut after = Position::START;
    while !shutdown.is_cancelled() {
        let is_done = |consumer: &mut Consumer| consumer.target <= after.max(consumer.first);
        for done in consumers.extract_if(.., is_done).collect::<Vec<_>>() {
            done.end(Ok(()));
        }
        // What nobody wants who is left is not read.
        let Some(first) = consumers.iter().map(|consumer| consumer.first).min() else { return };
        after = after.max(first);
        let stretch = match store.read_all(after, &filter, PAGE).await {
            // Whoever needs an event first decodes it for all.
            Ok(page) => Batch {
                events: page.events.into_iter().map(Entry::shared).collect(),
                after,
                through: page.scanned,
            },
            Err(error) => {
                for consumer in consumers {
                    consumer.end(Err(error.clone()));
                }
                return;
            }
        };
        let mut closed = Vec::new();
        for (nth, consumer) in consumers.iter().enumerate() {
            if stretch.through > consumer.first && consumer.take(&stretch).await.is_err() {
                closed.push(nth);
            }
        }
        // A worker that has failed says so itself.
        for nth in closed.into_iter().rev() {
            consumers.swap_remove(nth).end(Ok(()));
        }
        after = stretch.through;
    }
}

/// A worker takes nothing more.
struct QueueClosed;

impl Consumer {
    /// Hands a stretch of the log to the workers. Each gets every stretch, also where none of its events is in it, so that all
    /// checkpoints get to the target.
    async fn take(&self, stretch: &Batch) -> Result<(), QueueClosed> {
        let (after, through) = (stretch.after, stretch.through.min(self.target));
        let mut shares: Vec<Vec<Arc<Entry>>> = self.queues.iter().map(|_| Vec::new()).collect();
        let wanted =
            stretch.events.iter().filter(|event| event.position <= through && self.filter.wants(event));
        for event in wanted {
            shares[share_of(&event.stream, self.queues.len())].push(Arc::clone(event));
        }
        for (queue, events) in self.queues.iter().zip(shares) {
            queue.send(Batch { after, events, through }).await.map_err(|_| QueueClosed)?;
        }
        Ok(())
    }

    /// Lets the workers finish.
    fn end(self, outcome: Result<(), StoreError>) {
        drop(self.queues);
        let _ = self.outcome.send(outcome);
    }
}

#[cfg(test)]
mod tests;
