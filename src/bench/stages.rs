//! Where the time of a checkout goes: from one thing that its customer waits for to the next. What the store
//! recorded says when each was decided; customers say when they asked and when they saw it. All of them look
//! at the same clock.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event_store::{EventStore, Filter, Position, read_to_end};
use futures::TryStreamExt;
use platform::clock::Clock;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    load::{Measured, Worker},
    report::Latency,
    shop::Customer,
};

/// What happens one after the other, with the event that says so.
const EVENTS: [(&str, &str); 8] = [
    ("asked → order placed", "OrderPlaced"),
    ("→ stock held", "CheckoutStockReserved"),
    ("→ authorization asked for", "PaymentRequested"),
    ("→ payment authorized", "PaymentAuthorized"),
    ("→ order confirmed", "OrderConfirmed"),
    ("→ capture asked for", "PaymentCaptureRequested"),
    ("→ payment captured", "PaymentCaptured"),
    ("→ checkout completed (nobody waits)", "CheckoutCompleted"),
];

/// How many of them the customer waits for.
const WAITED_FOR: usize = EVENTS.len() - 1;

/// The last stage that the customer waits for.
const SEEN: &str = "→ seen by the customer";

/// The stages of many checkouts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stages {
    /// Of which checkouts.
    pub what: String,
    /// One after the other.
    pub stages: Vec<Stage>,
}

/// From one thing to the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// Up to what.
    pub what: &'static str,
    /// How long it took.
    pub latency: Latency,
}

/// What a customer says.
pub(super) struct Visit {
    order: String,
    asked: DateTime<Utc>,
    seen: DateTime<Utc>,
}

/// A customer who looks at the clock.
pub(super) struct Timed {
    pub(super) customer: Customer,
    pub(super) visits: mpsc::UnboundedSender<Visit>,
}

#[async_trait]
impl Worker for Timed {
    async fn step(&mut self) -> Result<u64> {
        let asked = Clock::system().now();
        let accepted = self.customer.check_out().await?;
        self.customer.see_paid(&accepted).await?;
        let seen = Clock::system().now();
        self.visits.send(Visit { order: accepted.order_id.to_string(), asked, seen })?;
        Ok(1)
    }
}

/// When each of [`EVENTS`] was recorded of an order.
type Recorded = [Option<DateTime<Utc>>; EVENTS.len()];

/// What became of orders behind `after`.
pub(super) async fn recorded(store: &dyn EventStore, after: Position) -> Result<HashMap<String, Recorded>> {
    let mut orders: HashMap<String, Recorded> = HashMap::new();
    let filter = Filter { names: EVENTS.map(|(_, name)| name.to_owned()).into(), ..Filter::all() };
    let mut pages = read_to_end(store, after, &filter);
    while let Some(page) = pages.try_next().await? {
        for event in page.events {
            let Some(place) = EVENTS.iter().position(|(_, name)| *name == event.name) else { continue };
            orders.entry(event.stream.id().to_owned()).or_default()[place] = Some(event.recorded_at);
        }
    }
    Ok(orders)
}

/// Lays both beside each other. Orders of which either side is missing do not count.
pub(super) fn stages(what: &str, visits: &[Visit], orders: &HashMap<String, Recorded>) -> Result<Stages> {
    let mut taken = Vec::with_capacity(EVENTS.len() + 1);
    for _ in 0..=EVENTS.len() {
        taken.push(Measured::new()?);
    }
    for visit in visits {
        let recorded: Option<Vec<_>> =
            orders.get(&visit.order).and_then(|recorded| recorded.iter().copied().collect());
        let Some(recorded) = recorded else { continue };
        let (waited_for, completed) = recorded.split_at(WAITED_FOR);
        let captured = waited_for.last().copied().unwrap_or(visit.asked);
        let mut before = visit.asked;
        for (at, measured) in waited_for.iter().chain([&visit.seen]).zip(&mut taken) {
            measured.record(from(before, *at));
            before = *at;
        }
        for (at, measured) in completed.iter().zip(taken.iter_mut().skip(WAITED_FOR + 1)) {
            measured.record(from(captured, *at));
        }
    }
    let (waited_for, completed) = EVENTS.split_at(WAITED_FOR);
    let names = waited_for.iter().map(|(name, _)| *name).chain([SEEN]);
    let names = names.chain(completed.iter().map(|(name, _)| *name));
    let stages = names.zip(&taken).map(|(what, measured)| Stage { what, latency: measured.latency() });
    Ok(Stages { what: what.to_owned(), stages: stages.collect() })
}

/// What two looks at one clock are apart; nothing, where it was set back in between.
fn from(before: DateTime<Utc>, after: DateTime<Utc>) -> Duration {
    (after - before).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn stages_follow_on_each_other_and_what_comes_after_the_money_does_not_delay_the_customer() {
        let recorded = [2, 12, 17, 37, 47, 50, 72, 102].map(|ms| Some(at(ms)));
        let mut missing = recorded;
        missing[2] = None;
        let orders = [("whole".to_owned(), recorded), ("torn".to_owned(), missing)].into();
        let visit = |order: &str| Visit { order: order.to_owned(), asked: at(0), seen: at(77) };
        let stages = stages("1", &[visit("whole"), visit("torn"), visit("unknown")], &orders).unwrap();
        let took: Vec<_> = stages.stages.iter().map(|stage| stage.latency.p50_ms.round()).collect();
        assert_eq!(took, [2.0, 10.0, 5.0, 20.0, 10.0, 3.0, 22.0, 5.0, 30.0]);
        assert_eq!(stages.stages[7].what, SEEN);
        assert!(stages.stages[8].what.contains("completed"));
    }
}
