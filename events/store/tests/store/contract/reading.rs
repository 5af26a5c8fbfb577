//! What readers get: streams both ways, the log in order and in pages, and events by their ids.

use std::sync::Arc;

use event_store::{
    Direction, EventStore, Filter, IdScope, NewEvent, Numbering, Page, Position, RecordedEvent, read_to_end,
};
use events::{Actor, Category, Metadata};
use futures::TryStreamExt;
use uuid::Uuid;

use crate::history::{
    ids, metadata, named, nth, places, position, revisions, some, stream, whole_log, write,
};

pub(crate) async fn a_stream_is_read_both_ways_from_any_revision(store: Arc<dyn EventStore>) {
    for _ in 0..3 {
        write(&*store, &stream("a"), some(2)).await;
        write(&*store, &stream("b"), some(1)).await;
    }
    let cases: [(Direction, Option<u64>, usize, &[u64]); 11] = [
        (Direction::Forwards, None, 100, &[0, 1, 2, 3, 4, 5]),
        (Direction::Forwards, None, 2, &[0, 1]),
        (Direction::Forwards, Some(4), 100, &[4, 5]),
        (Direction::Forwards, Some(3), 2, &[3, 4]),
        (Direction::Forwards, Some(6), 100, &[]),
        (Direction::Backwards, None, 100, &[5, 4, 3, 2, 1, 0]),
        (Direction::Backwards, None, 1, &[5]),
        (Direction::Backwards, Some(2), 100, &[2, 1, 0]),
        (Direction::Backwards, Some(2), 2, &[2, 1]),
        (Direction::Backwards, Some(u64::MAX), 1, &[5]),
        (Direction::Forwards, Some(u64::MAX), usize::MAX, &[]),
    ];
    for (direction, from, limit, wanted) in cases {
        let read = store.read_stream(&stream("a"), direction, from, limit).await.unwrap();
        assert_eq!(revisions(&read), wanted, "{direction:?} from {from:?}, at most {limit}");
        assert!(read.iter().all(|event| event.stream == stream("a")));
    }
}

pub(crate) async fn a_stream_that_does_not_exist_has_no_events(store: Arc<dyn EventStore>) {
    write(&*store, &stream("a"), some(1)).await;
    for direction in [Direction::Forwards, Direction::Backwards] {
        assert_eq!(store.read_stream(&stream("b"), direction, None, 10).await.unwrap(), []);
    }
}

pub(crate) async fn the_log_is_read_page_by_page_in_order(store: Arc<dyn EventStore>) {
    let mut written = Vec::new();
    for nth in 0..12 {
        let events = some(1 + nth % 3);
        written.extend(events.iter().map(|event| event.id));
        write(&*store, &stream(&(nth % 5).to_string()), events).await;
    }
    for limit in [1, 2, 7, 24, 1_000] {
        let read = whole_log(&*store, &Filter::all(), limit).await;
        assert_eq!(ids(&read), written, "in pages of {limit}");
        assert_eq!(places(&*store, &read).await, (1..=24).collect::<Vec<_>>());
    }
}

pub(crate) async fn a_page_says_whether_the_log_goes_on(store: Arc<dyn EventStore>) {
    let read = async |after, limit| {
        let Page { events, scanned, end } =
            store.read_all(nth(&*store, after).await, &Filter::all(), limit).await.unwrap();
        assert!(events.len() <= limit.max(1));
        assert!(events.last().is_none_or(|last| last.position <= scanned));
        (places(&*store, &events).await, scanned, end)
    };
    assert_eq!(read(0, 10).await.0, [0; 0]);
    write(&*store, &stream("a"), some(4)).await;
    assert!(!read(0, 3).await.2);
    let (all, scanned, end) = read(0, usize::MAX).await;
    assert_eq!((all, end), (vec![1, 2, 3, 4], true));
    let behind = store.read_all(scanned, &Filter::all(), 9).await.unwrap();
    assert_eq!((behind.events, behind.end), (vec![], true));
    // With limit 0 too whoever reads on gets on.
    assert!(read(0, 0).await.1 > Position::START);

    if store.numbering() == Numbering::Sparse {
        // What lies between our events is looked at as well.
        return;
    }
    assert_eq!(read(0, 3).await, (vec![1, 2, 3], position(3), false));
    assert_eq!(read(0, 4).await, (vec![1, 2, 3, 4], position(4), true));
    assert_eq!(read(3, 9).await, (vec![4], position(4), true));
    assert_eq!(read(0, 0).await, (vec![1], position(1), false));
    assert_eq!(read(4, 9).await, (vec![], position(4), true));
    assert_eq!(read(9, 9).await, (vec![], position(9), true), "behind the end there is nothing, yet");
}

/// Events in which everything differs that may.
fn of_all_kinds(count: usize) -> Vec<NewEvent> {
    let kinds = (0..count).map(|nth| NewEvent {
        version: u16::try_from(nth % 7 + 1).unwrap(),
        payload: format!(r#"{{"nth":{nth},"note":"{}"}}"#, "ü".repeat(nth % 50)).into(),
        metadata: Metadata {
            request_digest: (nth % 2 == 0).then(|| "d".repeat(64)),
            actor: if nth % 3 == 0 { Actor::Saga("checkout".to_owned()) } else { Actor::Client },
            traceparent: (nth % 5 == 0)
                .then(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            ..metadata()
        },
        ..named(["OrderPlaced", "OrderConfirmed", "StückGeprüft"][nth % 3])
    });
    kinds.collect()
}

pub(crate) async fn large_pages_say_what_small_ones_say(store: Arc<dyn EventStore>) {
    let events = of_all_kinds(900);
    for (nth, events) in events.chunks(30).enumerate() {
        write(&*store, &stream(&(nth % 7).to_string()), events.to_vec()).await;
    }
    let small = whole_log(&*store, &Filter::all(), 100).await;
    assert_eq!(ids(&small), events.iter().map(|event| event.id).collect::<Vec<_>>());
    for limit in [250, 400, 899, 900, 901] {
        assert_eq!(whole_log(&*store, &Filter::all(), limit).await, small, "in pages of {limit}");
    }
}

pub(crate) async fn everything_is_read_to_the_end_and_nothing_twice(store: Arc<dyn EventStore>) {
    assert_eq!(all_behind(&*store, Position::START, &Filter::all()).await, []);
    for (nth, events) in of_all_kinds(9_000).chunks(200).enumerate() {
        write(&*store, &stream(&nth.to_string()), events.to_vec()).await;
    }
    let whole = whole_log(&*store, &Filter::all(), 1_000).await;
    assert_eq!(whole.len(), 9_000);
    for behind in [0, 1, 999, 5_000, 8_999, 9_000] {
        let after = whole[..behind].last().map_or(Position::START, |event| event.position);
        assert!(all_behind(&*store, after, &Filter::all()).await == whole[behind..], "behind {behind}");
    }
    let filter = Filter { names: vec!["OrderConfirmed".to_owned()], ..Filter::all() };
    let wanted: Vec<_> = whole.into_iter().filter(|event| filter.wants(event)).collect();
    assert!(all_behind(&*store, Position::START, &filter).await == wanted);
}

async fn all_behind(store: &dyn EventStore, after: Position, filter: &Filter) -> Vec<RecordedEvent> {
    let pages: Vec<Page> = read_to_end(store, after, filter).try_collect().await.unwrap();
    assert!(pages.last().is_some_and(|last| last.end));
    pages.into_iter().flat_map(|page| page.events).collect()
}

pub(crate) async fn a_filter_passes_what_it_names_and_scans_the_rest(store: Arc<dyn EventStore>) {
    write(&*store, &Category::Order.stream("a"), vec![named("OrderPlaced")]).await;
    write(
        &*store,
        &Category::Payment.stream("a"),
        vec![named("PaymentRequested"), named("CaptureRequested")],
    )
    .await;
    write(&*store, &Category::Order.stream("a"), vec![named("OrderConfirmed")]).await;
    write(&*store, &Category::Inventory.stream("a"), vec![named("StockReceived")]).await;

    let wanted = async |categories: &[Category], names: &[&str], limit| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let filter = Filter { names, ..Filter::categories(categories.iter().copied()) };
        places(&*store, &whole_log(&*store, &filter, limit).await).await
    };
    for limit in [1, 2, 100] {
        assert_eq!(wanted(&[], &[], limit).await, [1, 2, 3, 4, 5]);
        assert_eq!(wanted(&[Category::Order], &[], limit).await, [1, 4]);
        assert_eq!(wanted(&[Category::Payment, Category::Inventory], &[], limit).await, [2, 3, 5]);
        assert_eq!(wanted(&[], &["OrderPlaced", "StockReceived"], limit).await, [1, 5]);
        assert_eq!(wanted(&[Category::Order], &["OrderConfirmed", "StockReceived"], limit).await, [4]);
        assert_eq!(wanted(&[Category::Webhook], &[], limit).await, [0; 0]);
    }
    let filter = Filter::categories([Category::Webhook]);
    let page = store.read_all(nth(&*store, 1).await, &filter, 3).await.unwrap();
    assert!(page.events.is_empty() && page.scanned > nth(&*store, 1).await);
    if store.numbering() == Numbering::Dense {
        assert_eq!(page, Page { events: vec![], scanned: position(4), end: false });
    }
}

pub(crate) async fn an_event_is_found_by_its_id(store: Arc<dyn EventStore>) {
    let events = some(2);
    write(&*store, &stream("a"), some(1)).await;
    write(&*store, &stream("b"), events.clone()).await;
    let found = store.find(&stream("b"), events[1].id).await.unwrap().unwrap();
    assert_eq!((found.id, found.stream.clone()), (events[1].id, stream("b")));
    assert_eq!((found.revision, found.position), (1, nth(&*store, 3).await));
    assert_eq!(whole_log(&*store, &Filter::all(), 10).await[2], found, "it is the event that others read");
    let elsewhere = store.find(&stream("a"), events[1].id).await.unwrap();
    match store.ids_are_unique_in() {
        IdScope::Log => assert_eq!(elsewhere, Some(found)),
        IdScope::Stream => assert_eq!(elsewhere, None),
    }
    for nowhere in [stream("b"), stream("c")] {
        assert_eq!(store.find(&nowhere, Uuid::new_v4()).await.unwrap(), None);
    }
}
