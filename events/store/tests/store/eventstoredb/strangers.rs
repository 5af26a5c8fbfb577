//! What else lies in a server: the server's own events, other shops, and what nobody should have written.

use event_store::{
    AppendError, EventStore, ExpectedRevision, Filter, Position, StoreError, eventstoredb::EventStoreDbStore,
};
use eventstoredb_stand_in::{Setup, StandIn};
use futures::StreamExt;

use super::{open, server};
use crate::history::{all_of, ids, in_time, revisions, some, stream, whole_log, with_payload, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_the_server_are_passed_over_and_checkpoints_move_past_them() {
    let server = StandIn::start(Setup { chatty: true, ..Setup::default() }).unwrap();
    let store = open(&server).await;
    let mut written = Vec::new();
    for _ in 0..5 {
        let events = some(2);
        written.extend(events.iter().map(|event| event.id));
        write(&*store, &stream("a"), events).await;
    }
    assert_eq!(server.log().records().len(), 15);
    for limit in [1, 2, 100] {
        let log = whole_log(&*store, &Filter::all(), limit).await;
        assert_eq!(ids(&log), written, "in pages of {limit}");
        assert_eq!(store.head().await.unwrap(), log[9].position);
    }
    // The last event is one of the server's, and a checkpoint is behind it.
    let end = store.read_all(Position::START, &Filter::all(), 100).await.unwrap();
    assert!(end.end && end.scanned > end.events[9].position);
    let mut pages = store.follow(end.scanned, Filter::all());
    server.log().write("$stats-127.0.0.1:2113", "$statsCollected", "");
    let page = in_time(pages.next()).await.unwrap().unwrap();
    assert!(page.events.is_empty() && page.scanned > end.scanned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_stretches_of_others_are_passed_over_in_few_reads_and_the_end_is_found_behind_them() {
    let server = server().await;
    let store = open(&server).await;
    let strangers =
        |count| (0..count).for_each(|_| server.log().write("$stats-127.0.0.1:2113", "$statsCollected", "{}"));
    strangers(3_000);
    assert_eq!(store.head().await.unwrap(), Position::START);
    let mut written = Vec::new();
    for _ in 0..2 {
        let event = some(1);
        written.push(event[0].id);
        write(&*store, &stream("a"), event).await;
        strangers(3_000);
        let last = *written.last().unwrap();
        assert_eq!(
            store.head().await.unwrap(),
            store.find(&stream("a"), last).await.unwrap().unwrap().position
        );
    }
    let (mut after, mut pages, mut read) = (Position::START, 0, Vec::new());
    loop {
        let page = store.read_all(after, &Filter::all(), 1).await.unwrap();
        (after, pages) = (page.scanned, pages + 1);
        read.extend(page.events);
        if page.end {
            break;
        }
    }
    assert_eq!(ids(&read), written);
    assert!(pages <= 6, "{pages} pages for 9,000 events of others and two of ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_shops_in_one_server_see_nothing_of_each_other() {
    let server = server().await;
    let whole = open(&server).await;
    let [first, second] = ["first", "second"].map(|shop| format!("{}&namespace={shop}", server.url()));
    let first = EventStoreDbStore::connect(&first).await.unwrap();
    let second = EventStoreDbStore::connect(&second).await.unwrap();
    let events = some(2);
    for store in [&first, &second, &*whole] {
        assert_eq!(store.head().await.unwrap(), Position::START);
        store.append(&stream("a"), ExpectedRevision::NoStream, events.clone()).await.unwrap();
    }
    for store in [&first, &second, &*whole] {
        assert_eq!(revisions(&whole_log(store, &Filter::all(), 1).await), [0, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_an_old_transaction_is_refused_and_never_put_in_an_order_of_its_own() {
    let server = server().await;
    let store = open(&server).await;
    write(&*store, &stream("a"), some(3)).await;
    server.log().records_mut()[1].prepare -= 1;
    match store.read_all(Position::START, &Filter::all(), 10).await {
        Err(StoreError::Corrupt { reason }) => assert!(reason.contains("transaction"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_wrote_into_our_streams_is_an_error_and_not_passed_over() {
    let server = server().await;
    let store = open(&server).await;
    write(&*store, &stream("a"), some(1)).await;
    server.log().write("order-a", "SomethingElse", "{}");
    assert!(matches!(
        store.read_all(Position::START, &Filter::all(), 10).await,
        Err(StoreError::Corrupt { reason }) if reason.contains("somebody else")
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_the_server_would_write_twice_are_refused_before_it_can() {
    let server = server().await;
    let store = open(&server).await;
    let events = some(2);
    write(&*store, &stream("a"), events.clone()).await;
    // For one who has just come, nothing is remembered.
    let other = open(&server).await;
    match other.append(&stream("a"), ExpectedRevision::Exact(1), events).await {
        Err(AppendError::AlreadyAppended { found, .. }) => assert_eq!(found.len(), 2),
        answer => panic!("{answer:?}"),
    }
    assert_eq!(all_of(&*store, &stream("a")).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_over_the_limit_of_the_server_is_too_large_and_says_which_setting_it_is() {
    let server = StandIn::start(Setup { append_bytes_max: 5_000, ..Setup::default() }).unwrap();
    let store = open(&server).await;
    let large = vec![with_payload(vec![b' '; 6_000])];
    match store.append(&stream("a"), ExpectedRevision::NoStream, large).await {
        Err(AppendError::TooLarge { reason, .. }) => assert!(reason.contains("MaxAppendSize"), "{reason}"),
        other => panic!("{other:?}"),
    }
    write(&*store, &stream("a"), some(1)).await;
}
