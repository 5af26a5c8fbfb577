//! What a follower gets: everything from behind its position, once and in order, whether it was
//! there before or is appended while it waits.

use std::{collections::HashMap, sync::Arc};

use event_store::{EventStore, Filter, Page, Position, RecordedEvent, StoreError};
use events::Category;
use futures::{FutureExt, StreamExt, stream::BoxStream};

use crate::history::{named, nth, places, some, stream, write};

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

/// Reads until this many events have come.
async fn follow_count(
    pages: &mut BoxStream<'static, Result<Page, StoreError>>,
    count: usize,
) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        events.extend(pages.next().await.expect("a follower has no end").unwrap().events);
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
    let followed = follow_count(&mut pages, 1_200 + 500).await;
    assert_eq!(places(&*store, &followed).await, (1..=1_700).collect::<Vec<_>>());
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
        let came = follow_count(&mut pages, 1).await;
        assert_eq!(places(&*store, &came).await, [1_700 + nth]);
        assert_eq!(came[0].position, appended.position);
    }
}

pub(crate) async fn a_follower_begins_behind_any_position(store: Arc<dyn EventStore>) {
    for _ in 0..10 {
        write(&*store, &stream("a"), some(1)).await;
    }
    let mut followers = Vec::new();
    for after in 0..=10 {
        followers.push((after, store.follow(nth(&*store, after).await, Filter::all())));
    }
    write(&*store, &stream("b"), some(2)).await;
    for (after, pages) in &mut followers {
        let (begin, last) = (nth(&*store, *after).await, nth(&*store, 12).await);
        let followed = follow_to(pages, begin, last).await;
        assert_eq!(places(&*store, &followed).await, (*after + 1..=12).collect::<Vec<_>>());
    }
}

pub(crate) async fn a_follower_with_a_filter_is_moved_past_what_it_does_not_want(store: Arc<dyn EventStore>) {
    let second = write(&*store, &stream("a"), some(2)).await.position;
    let mut pages = store.follow(Position::START, Filter::categories([Category::Payment]));
    assert_eq!(follow_to(&mut pages, Position::START, second).await, []);
    let third = write(&*store, &stream("a"), some(1)).await.position;
    assert_eq!(follow_to(&mut pages, second, third).await, []);
    let wanted = vec![named("PaymentRequested")];
    let fourth = write(&*store, &Category::Payment.stream("a"), wanted).await.position;
    let followed = follow_to(&mut pages, third, fourth).await;
    assert_eq!(places(&*store, &followed).await, [4]);
}

pub(crate) async fn a_follower_that_waits_in_vain_is_woken_by_the_first_event(store: Arc<dyn EventStore>) {
    let mut pages = store.follow(Position::START, Filter::all());
    assert!(pages.next().now_or_never().is_none(), "nothing has happened yet");
    let waiting = tokio::spawn(async move { follow_count(&mut pages, 1).await });
    let appended = write(&*store, &stream("a"), some(1)).await;
    let came = waiting.await.unwrap();
    assert_eq!((places(&*store, &came).await, came[0].position), (vec![1], appended.position));
}

pub(crate) async fn a_page_that_nobody_waited_for_is_not_lost(store: Arc<dyn EventStore>) {
    write(&*store, &stream("a"), some(3)).await;
    let mut pages = store.follow(Position::START, Filter::all());
    let mut followed: Vec<RecordedEvent> = Vec::new();
    // Whoever selects between a follower and something else gives up waiting again and again.
    for _ in 0..50 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            page = pages.next() => followed.extend(page.unwrap().unwrap().events),
        }
    }
    followed.extend(follow_count(&mut pages, 3 - followed.len()).await);
    assert_eq!(places(&*store, &followed).await, [1, 2, 3]);
}
