//! A long history, as a shop writes it: some orders are really taken through a checkout, and what that
//! wrote is written again and again under new ids. So it always looks like the history of this release.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use event_store::{EventStore, ExpectedRevision, Filter, NewEvent, Position, RecordedEvent, read_to_end};
use events::{Category, Metadata, StreamName};
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{Ground, Plan, load, shop::Shop};

/// How many orders are written at once.
const AT_ONCE: usize = 400;

/// How many events a command of a checkout writes at most.
const OF_A_COMMAND: usize = 8;

/// The events of one order, in the order of the log, with its id.
pub(super) type Order = (String, Vec<RecordedEvent>);

/// Takes orders through a checkout, for as long as a measurement takes.
pub(super) async fn begin(ground: &Ground, plan: &Plan<'_>) -> Result<()> {
    plan.say("taking orders through a checkout");
    Shop::serve(ground, async |shop| {
        load::closed(shop.customers(32).await?, plan.each).await?;
        Ok(())
    })
    .await
}

/// Writes what happened to these orders again, until the log has `events` events or a few more.
pub(super) async fn grow(store: &Arc<dyn EventStore>, events: u64, plan: &Plan<'_>) -> Result<()> {
    let head = store.head().await?.distance_from(Position::START);
    let orders = Arc::new(orders(&**store).await?);
    let each = orders.iter().map(|(_, events)| events.len() as u64).sum::<u64>() / orders.len() as u64;
    let copies = events.saturating_sub(head).div_ceil(each.max(1));
    let written = AtomicU64::new(0);
    stream::iter(0..copies)
        .map(|copy| {
            let orders = Arc::clone(&orders);
            let written = &written;
            async move {
                let nth = usize::try_from(copy % orders.len() as u64).unwrap_or(0);
                write_again(&**store, &orders[nth]).await?;
                let written = written.fetch_add(1, Ordering::Relaxed);
                if written.is_multiple_of(10_000) {
                    plan.say(&format!("writing history: {written} orders of {copies}"));
                }
                anyhow::Ok(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await
}

/// The orders that are in the log from their beginning to the end of their checkout, with all that happened to them
/// since.
pub(super) async fn orders(store: &dyn EventStore) -> Result<Vec<Order>> {
    let (filter, mut log) = (Filter::all(), Vec::new());
    let mut pages = read_to_end(store, Position::START, &filter);
    while let Some(page) = pages.try_next().await? {
        log.extend(page.events);
    }
    let mut orders: Vec<Order> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for event in log {
        let order = match event.stream.category() {
            "order" | "payment" | "checkout" => Some(event.stream.id().to_owned()),
            "inventory" => reservation(&event)?,
            _ => None,
        };
        let Some(order) = order else { continue };
        let place = *places.entry(order.clone()).or_insert_with(|| {
            orders.push((order, Vec::new()));
            orders.len() - 1
        });
        orders[place].1.push(event);
    }
    orders.retain(|(_, events)| events.iter().any(|event| event.name == "CheckoutCompleted"));
    ensure!(!orders.is_empty(), "no order got to its end");
    Ok(orders)
}

/// The order that an event about stock is for.
fn reservation(event: &RecordedEvent) -> Result<Option<String>> {
    let payload: serde_json::Value = serde_json::from_slice(&event.payload)?;
    Ok(payload.get("reservation_id").and_then(|id| id.as_str()).map(str::to_owned))
}

async fn write_again(store: &dyn EventStore, (id, events): &Order) -> Result<()> {
    let new = Uuid::new_v4().to_string();
    for event in events {
        let (stream, event) = again(event, id, &new)?;
        store.append(&stream, ExpectedRevision::Any, vec![event]).await?;
    }
    Ok(())
}

/// What happened to the order `old`, as it would have happened to the order `new`.
pub(super) fn again(event: &RecordedEvent, old: &str, new: &str) -> Result<(StreamName, NewEvent)> {
    let stream = match event.stream.category() {
        "inventory" => event.stream.clone(),
        category => {
            let category = Category::ALL.into_iter().find(|known| known.as_str() == category);
            category.context("a category of this release")?.stream(new)
        }
    };
    let payload = std::str::from_utf8(&event.payload)?.replace(old, new);
    // Each command was carried out once, also those that this is said to come from; and what follows from a
    // command has an id that does.
    let namespace: Uuid = new.parse().context("orders have UUIDs")?;
    let fresh = |id: Uuid| Uuid::new_v5(&namespace, id.as_bytes());
    let command_id = fresh(event.metadata.command_id);
    let derived = |from: &Uuid, index: usize| Uuid::new_v5(from, index.to_string().as_bytes());
    let index = (0..OF_A_COMMAND).find(|index| derived(&event.metadata.command_id, *index) == event.id);
    let event = NewEvent {
        id: index.map_or_else(|| fresh(event.id), |index| derived(&command_id, index)),
        name: event.name.clone(),
        version: event.version,
        payload: Bytes::from(payload),
        metadata: Metadata {
            command_id,
            correlation_id: fresh(event.metadata.correlation_id),
            causation_id: fresh(event.metadata.causation_id),
            ..event.metadata.clone()
        },
    };
    Ok((stream, event))
}
