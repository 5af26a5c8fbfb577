//! What a follower gets: everything from behind its position, once and in order, whether it was
//! there before or is appended while it waits.

use std::{collections::HashMap, sync::Arc};

use event_store::{EventStore, Filter, Page, Position, RecordedEvent, StoreError};
use events::Category;
use futures::{FutureExt, StreamExt, stream::BoxStream};

use crate::history::{named, place, position, positions, some, stream, write};

/// Reads until `last` was scanned, and checks that the pages follow one on the other.
async fn follow_to(
    pages: &mut BoxStream<'static, Result<Page, StoreError>>,
    after: Position,
    last: Position,
) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut scanned = after;
    while scanned < last {
        let page = pages.next().await.expect("a follower has no end").unwrap();
        assert!(page.scanned > scanned, "each page moves on");
        assert!(page.events.iter().all(|event| event.position > scanned && event.position <= page.scanned));
        scanned = page.scanned;
        events.extend(page.events);
    }
    events
}

pub(crate) async fn a_follower_catches_up_and_goes_on_live(store: Arc<dyn EventStore>) {
    for _ in 0..3 {
        write(&*store, &stream("a"), some(400)).await;
    }
    let mut pages = store.follow(Position::START, Filter::all());
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for nth in 0..200 {
                write(&*store, &stream(&nth.to_string()), some(1 + nth % 4)).await;
            }
        })
    };
    let last = position(1_200 + 500);
    let followed = follow_to(&mut pages, Position::START, last).await;
    assert_eq!(positions(&followed), (1..=place(last)).collect::<Vec<_>>());
    let mut next_revision: HashMap<_, u64> = HashMap::new();
    for event in &followed {
        let next = next_revision.entry(event.stream.clone()).or_default();
        assert_eq!(event.revision, *next, "of {} at {}", event.stream, event.position);
        *next += 1;
    }
    writer.await.unwrap();
    // What is appended one by one arrives one by one, without anything in between.
    for nth in 1..=3 {
        let appended = write(&*store, &stream("live"), some(1)).await;
        let page = pages.next().await.unwrap().unwrap();
        assert_eq!((positions(&page.events), page.scanned), (vec![place(last) + nth], appended.position));
    }
}

pub(crate) async fn a_follower_begins_behind_any_position(store: Arc<dyn EventStore>) {
    for _ in 0..10 {
        write(&*store, &stream("a"), some(1)).await;
    }
    let mut followers: Vec<_> =
        (0..=10).map(|after| (after, store.follow(position(after), Filter::all()))).collect();
    write(&*store, &stream("b"), some(2)).await;
    for (after, pages) in &mut followers {
        let followed = follow_to(pages, position(*after), position(12)).await;
        assert_eq!(positions(&followed), (*after + 1..=12).collect::<Vec<_>>());
    }
}

pub(crate) async fn a_follower_with_a_filter_is_moved_past_what_it_does_not_want(store: Arc<dyn EventStore>) {
    write(&*store, &stream("a"), some(2)).await;
    let mut pages = store.follow(Position::START, Filter::categories([Category::Payment]));
    assert_eq!(follow_to(&mut pages, Position::START, position(2)).await, []);
    write(&*store, &stream("a"), some(1)).await;
    assert_eq!(follow_to(&mut pages, position(2), position(3)).await, []);
    write(&*store, &Category::Payment.stream("a"), vec![named("PaymentRequested")]).await;
    let followed = follow_to(&mut pages, position(3), position(4)).await;
    assert_eq!(positions(&followed), [4]);
}

pub(crate) async fn a_follower_that_waits_in_vain_is_woken_by_the_first_event(store: Arc<dyn EventStore>) {
    let mut pages = store.follow(Position::START, Filter::all());
    assert!(pages.next().now_or_never().is_none(), "nothing has happened yet");
    let waiting = tokio::spawn(async move { pages.next().await.unwrap().unwrap() });
    let appended = write(&*store, &stream("a"), some(1)).await;
    let page = waiting.await.unwrap();
    assert_eq!((positions(&page.events), page.scanned), (vec![1], appended.position));
}

pub(crate) async fn a_page_that_nobody_waited_for_is_not_lost(store: Arc<dyn EventStore>) {
    write(&*store, &stream("a"), some(3)).await;
    let mut pages = store.follow(Position::START, Filter::all());
    let mut followed = Vec::new();
    // Whoever selects between a follower and something else gives up waiting again and again.
    for _ in 0..50 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            page = pages.next() => followed.extend(page.unwrap().unwrap().events),
        }
    }
    let after = followed.last().map_or(Position::START, |event: &RecordedEvent| event.position);
    followed.extend(follow_to(&mut pages, after, position(3)).await);
    assert_eq!(positions(&followed), [1, 2, 3]);
}
