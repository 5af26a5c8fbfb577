//! The memory store breaks down where its plan says so, and in no other place.

use std::time::Duration;

use event_store::{
    AppendError, EventStore, ExpectedRevision, Filter, NewEvent, Position, StoreError,
    memory::{Fault, FaultPlan, MemoryStore, Operation},
};
use futures::StreamExt;
use tokio::time::Instant;

use crate::history::{named, place, position, stream};

/// Appends one event to one stream; `true` if it was acknowledged.
async fn append(store: &MemoryStore, event: &NewEvent) -> bool {
    match store.append(&stream("a"), ExpectedRevision::Any, vec![event.clone()]).await {
        Ok(_) => true,
        Err(AppendError::Store(StoreError::Unavailable { .. })) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_append_that_fails_before_leaves_nothing_and_one_that_fails_after_leaves_all() {
    let store = MemoryStore::new();
    store.set_faults(FaultPlan::none().at(Operation::Append, 1, Fault::Before).at(
        Operation::Append,
        2,
        Fault::After,
    ));
    let event = named("OrderPlaced");
    assert!(!append(&store, &event).await);
    assert_eq!(store.head().await.unwrap(), Position::START);
    assert!(!append(&store, &event).await);
    assert_eq!(store.head().await.unwrap(), position(1));
    assert!(append(&store, &event).await, "asked again, it answers as it would have the first time");
    assert_eq!(store.head().await.unwrap(), position(1));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_is_late_and_otherwise_right() {
    let store = MemoryStore::new();
    let delay = Duration::from_secs(40);
    store.set_faults(FaultPlan::none().at(Operation::Append, 1, Fault::Delay(delay)));
    let begun = Instant::now();
    assert!(append(&store, &named("OrderPlaced")).await);
    assert_eq!(begun.elapsed(), delay);
}

#[tokio::test(start_paused = true)]
async fn a_follower_hears_of_an_outage_and_goes_on_where_it_was() {
    let store = MemoryStore::new();
    append(&store, &named("OrderPlaced")).await;
    let mut pages = store.follow(Position::START, Filter::all());
    assert_eq!(pages.next().await.unwrap().unwrap().scanned, position(1));
    store.set_faults(FaultPlan::none().at(Operation::Read, 1, Fault::Before).at(
        Operation::Read,
        2,
        Fault::After,
    ));
    append(&store, &named("OrderPlaced")).await;
    assert!(pages.next().await.unwrap().is_err());
    assert!(pages.next().await.unwrap().is_err());
    let page = pages.next().await.unwrap().unwrap();
    assert_eq!((page.events[0].position, page.scanned), (position(2), position(2)));
}

#[tokio::test(start_paused = true)]
async fn a_seed_goes_wrong_in_the_same_places_every_time() {
    let outcomes = async |seed| {
        let store = MemoryStore::new();
        store.set_faults(FaultPlan::seeded(seed, 300));
        let mut outcomes = Vec::new();
        for _ in 0..200 {
            let begun = Instant::now();
            let acknowledged = append(&store, &named("OrderPlaced")).await;
            outcomes.push((acknowledged, begun.elapsed()));
        }
        store.set_faults(FaultPlan::none());
        (outcomes, store.head().await.unwrap())
    };
    let (first, written) = outcomes(7).await;
    assert_eq!((first.clone(), written), outcomes(7).await);
    assert_ne!(first, outcomes(8).await.0);
    let acknowledged = first.iter().filter(|(acknowledged, _)| *acknowledged).count() as u64;
    assert!(acknowledged < place(written), "some answers are lost");
    assert!(place(written) < 200, "some appends never happen");
    assert!(first.iter().any(|(_, late)| !late.is_zero()), "some are late");
}
