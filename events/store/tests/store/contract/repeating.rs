//! What a repeat is, and what only looks like one. The store is the table of what was done before:
//! a caller whose answer was lost asks again, and must be able to trust what it hears.

use std::sync::Arc;

use event_store::{AppendError, Appended, EventStore, ExpectedRevision, FoundEvent, IdScope, NewEvent};
use futures::future::join_all;
use uuid::Uuid;

use crate::history::{all_of, named, nth, some, stream, write};

const EXPECTATIONS: [ExpectedRevision; 3] =
    [ExpectedRevision::NoStream, ExpectedRevision::Exact(1), ExpectedRevision::Any];

pub(crate) async fn the_same_append_again_answers_as_the_first_time(store: Arc<dyn EventStore>) {
    for expected in EXPECTATIONS {
        let events = some(2);
        let first = store.append(&stream("a"), expected, events.clone()).await.unwrap();
        assert!(!first.replayed);
        for _ in 0..2 {
            let again = store.append(&stream("a"), expected, events.clone()).await.unwrap();
            assert_eq!(again, Appended { replayed: true, ..first });
        }
    }
    assert_eq!(store.head().await.unwrap(), nth(&*store, 6).await);
}

pub(crate) async fn a_repeat_is_recognized_behind_later_events(store: Arc<dyn EventStore>) {
    let appends = EXPECTATIONS.map(|expected| (expected, some(2)));
    let mut answers = Vec::new();
    for (expected, events) in &appends {
        answers.push(store.append(&stream("a"), *expected, events.clone()).await.unwrap());
        write(&*store, &stream("b"), some(1)).await;
    }
    write(&*store, &stream("a"), some(1)).await;
    for ((expected, events), first) in appends.into_iter().zip(answers) {
        let again = store.append(&stream("a"), expected, events).await.unwrap();
        assert_eq!(again, Appended { replayed: true, ..first });
    }
}

pub(crate) async fn the_same_append_many_times_at_once_is_written_once(store: Arc<dyn EventStore>) {
    let events = some(3);
    let tries = (0..16).map(|_| {
        let (store, events) = (Arc::clone(&store), events.clone());
        tokio::spawn(async move { store.append(&stream("a"), ExpectedRevision::NoStream, events).await })
    });
    let answers: Vec<_> = join_all(tries).await.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    let last = nth(&*store, 3).await;
    assert!(answers.iter().all(|answer| (answer.revision, answer.position) == (2, last)));
    assert_eq!(store.head().await.unwrap(), nth(&*store, 3).await);
}

pub(crate) async fn the_same_ids_with_another_expectation_are_not_a_repeat(store: Arc<dyn EventStore>) {
    let events = some(2);
    write(&*store, &stream("a"), some(1)).await;
    store.append(&stream("a"), ExpectedRevision::Exact(0), events.clone()).await.unwrap();
    let others = [ExpectedRevision::NoStream, ExpectedRevision::Exact(2), ExpectedRevision::Exact(u64::MAX)];
    for expected in others {
        let found = already(&*store, "a", expected, events.clone()).await;
        assert_eq!(
            found,
            [at(&*store, &events[0], "a", 1, 2).await, at(&*store, &events[1], "a", 2, 3).await]
        );
    }
    assert_eq!(store.head().await.unwrap(), nth(&*store, 3).await);
}

pub(crate) async fn an_append_that_holds_something_old_and_something_new_is_refused(
    store: Arc<dyn EventStore>,
) {
    let events = some(2);
    write(&*store, &stream("a"), events.clone()).await;
    let longer = vec![events[0].clone(), events[1].clone(), named("OrderConfirmed")];
    let overlapping = vec![named("OrderPlaced"), events[1].clone(), named("OrderConfirmed")];
    for expected in EXPECTATIONS {
        let found = already(&*store, "a", expected, longer.clone()).await;
        assert_eq!(
            found,
            [at(&*store, &events[0], "a", 0, 1).await, at(&*store, &events[1], "a", 1, 2).await]
        );
        assert_eq!(
            already(&*store, "a", expected, overlapping.clone()).await,
            [at(&*store, &events[1], "a", 1, 2).await]
        );
    }
    assert_eq!(all_of(&*store, &stream("a")).await.len(), 2);
}

pub(crate) async fn the_same_ids_in_another_order_are_not_a_repeat(store: Arc<dyn EventStore>) {
    let mut events = some(2);
    write(&*store, &stream("a"), events.clone()).await;
    events.reverse();
    let found = already(&*store, "a", ExpectedRevision::Any, events.clone()).await;
    assert_eq!(found, [at(&*store, &events[0], "a", 1, 2).await, at(&*store, &events[1], "a", 0, 1).await]);
}

pub(crate) async fn an_id_of_another_stream_is_refused_and_found_there(store: Arc<dyn EventStore>) {
    let events = some(1);
    write(&*store, &stream("a"), events.clone()).await;
    if store.ids_are_unique_in() == IdScope::Stream {
        assert!(!write(&*store, &stream("b"), events).await.replayed, "it is another event");
        return;
    }
    for expected in [ExpectedRevision::NoStream, ExpectedRevision::Any] {
        assert_eq!(
            already(&*store, "b", expected, events.clone()).await,
            [at(&*store, &events[0], "a", 0, 1).await]
        );
    }
    assert_eq!(all_of(&*store, &stream("b")).await, []);
}

pub(crate) async fn the_events_of_two_appends_are_not_one_append(store: Arc<dyn EventStore>) {
    let (first, second) = (named("OrderPlaced"), named("OrderConfirmed"));
    write(&*store, &stream("a"), vec![first.clone()]).await;
    write(&*store, &stream("b"), some(1)).await;
    write(&*store, &stream("a"), vec![second.clone()]).await;
    let found = already(&*store, "a", ExpectedRevision::NoStream, vec![first.clone(), second.clone()]).await;
    assert_eq!(found, [at(&*store, &first, "a", 0, 1).await, at(&*store, &second, "a", 1, 3).await]);
}

/// What was found by an append that must be refused for it, in the order in which it was given.
async fn already(
    store: &dyn EventStore,
    id: &str,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
) -> Vec<FoundEvent> {
    let given: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    match store.append(&stream(id), expected, events).await {
        Err(AppendError::AlreadyAppended { stream: of, mut found }) => {
            assert_eq!(of, stream(id));
            found.sort_by_key(|found| given.iter().position(|id| *id == found.event_id));
            found
        }
        other => panic!("{id} at {expected}: {other:?}"),
    }
}

async fn at(store: &dyn EventStore, event: &NewEvent, id: &str, revision: u64, place: u64) -> FoundEvent {
    let appended = Appended { revision, position: nth(store, place).await, replayed: true };
    FoundEvent { event_id: event.id, stream: stream(id), appended }
}
