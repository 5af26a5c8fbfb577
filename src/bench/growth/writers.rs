//! Who appends while growth is measured: real orders again, event by event through the port, so that the log
//! stays one that every read model can read. The events of stock are left out: writers are to meet in the
//! store, and not in a stream.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use event_store::{EventStore, ExpectedRevision, Filter, Position};
use events::StreamName;
use futures::{StreamExt, future::try_join_all};
use uuid::Uuid;

use crate::bench::{
    growth::copies,
    history::{self, Order},
    load::{self, Worker},
};

/// Appends one event a call, each time at the revision that it knows of.
struct Writer {
    store: Arc<dyn EventStore>,
    orders: Arc<Vec<Order>>,
    nth: usize,
    id: String,
    next: usize,
    revisions: HashMap<StreamName, u64>,
}

impl Writer {
    fn begin_another(&mut self) {
        self.nth = (self.nth + 1) % self.orders.len();
        self.id = Uuid::new_v4().to_string();
        self.next = 0;
        self.revisions.clear();
    }

    /// Writes what is left of the order that it is at.
    async fn finish(mut self) -> Result<()> {
        while self.next > 0 {
            self.step().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Worker for Writer {
    async fn step(&mut self) -> Result<u64> {
        let (old, events) = &self.orders[self.nth];
        let (stream, event) = history::again(&events[self.next], old, &self.id)?;
        let revision = self.revisions.get(&stream).copied();
        let appended = self.store.append(&stream, ExpectedRevision::after(revision), vec![event]).await?;
        self.revisions.insert(stream, appended.revision);
        self.next += 1;
        if self.next == events.len() {
            self.begin_another();
        }
        Ok(1)
    }
}

/// Events a second from so many writers. What they have begun is written to its end.
pub(super) async fn rate(
    store: &Arc<dyn EventStore>,
    orders: &Arc<Vec<Order>>,
    writers: usize,
    time: Duration,
) -> Result<f64> {
    let writer = |nth| Writer {
        store: Arc::clone(store),
        orders: Arc::clone(orders),
        nth: nth % orders.len(),
        id: Uuid::new_v4().to_string(),
        next: 0,
        revisions: HashMap::new(),
    };
    let (measured, writers) = load::closed((0..writers).map(writer).collect(), time).await?;
    try_join_all(writers.into_iter().map(Writer::finish)).await?;
    Ok(measured.rate())
}

/// Of these orders the events that are written here.
pub(super) fn without_stock(orders: &[Order]) -> Vec<Order> {
    let keep = |(id, events): &Order| {
        let events = events.iter().filter(|event| event.stream.category() != "inventory");
        (id.clone(), events.cloned().collect())
    };
    orders.iter().map(keep).collect()
}

/// Follows the log as fast as it can, from `behind` events before its end, and begins again there when it has
/// caught up. Ends when it is dropped, or with an error.
pub(super) async fn keep_catching_up(store: Arc<dyn EventStore>, behind: u64) -> Result<()> {
    loop {
        let mut pages = store.follow(copies::before(store.head().await?, behind)?, Filter::all());
        while let Some(page) = pages.next().await {
            if page?.end {
                break;
            }
        }
    }
}

/// How many events there are.
pub(super) async fn events(store: &dyn EventStore) -> Result<u64> {
    Ok(store.head().await?.distance_from(Position::START))
}
