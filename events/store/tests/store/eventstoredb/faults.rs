//! Connections are cut and servers end at the worst moment. An append is written once all the same, and its
//! caller hears the truth.

use std::{sync::Arc, time::Duration};

use event_store::{
    AppendError, Appended, EventStore, ExpectedRevision, Filter, Position, StoreError,
    eventstoredb::{EventStoreDbStore, Settings},
};
use eventstoredb_stand_in::url_of;
use futures::StreamExt;
use platform::proxy::Proxy;

use super::{behind_a_proxy, open, server};
use crate::history::{all_of, ids, in_time, some, stream, whole_log, with_payload, write};

/// So unlike anything else that the proxy recognizes the request that holds it.
const MARKER: &str = "{\"marker\":\"the answer to this append never arrives\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_was_lost_is_answered_once_and_written_once() {
    for expected in [ExpectedRevision::Exact(0), ExpectedRevision::Any] {
        let server = server().await;
        let (proxy, store) = behind_a_proxy(&server).await;
        write(&*store, &stream("a"), some(1)).await;
        proxy.lose_answer(MARKER.as_bytes());
        let events = vec![with_payload(MARKER), with_payload("{}")];
        let appended = in_time(store.append(&stream("a"), expected, events.clone())).await.unwrap();
        assert_eq!(proxy.cuts(), 1, "the fault happened");
        assert_eq!((appended.revision, appended.replayed), (2, false), "{expected}");
        assert_eq!(server.log().records().len(), 3, "{expected}");
        let again = store.append(&stream("a"), expected, events).await.unwrap();
        assert_eq!(again, Appended { replayed: true, ..appended });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_never_arrived_is_made_again() {
    let server = server().await;
    let (proxy, store) = behind_a_proxy(&server).await;
    write(&*store, &stream("a"), some(1)).await;
    proxy.lose_request(MARKER.as_bytes());
    let events = vec![with_payload(MARKER)];
    let appended = in_time(store.append(&stream("a"), ExpectedRevision::Exact(0), events)).await.unwrap();
    assert_eq!(proxy.cuts(), 1, "the fault happened");
    assert_eq!((appended.revision, appended.replayed), (1, false));
    assert_eq!(server.log().records().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_others_overtook_while_its_answer_was_lost_is_still_found() {
    let server = server().await;
    let (proxy, store) = behind_a_proxy(&server).await;
    let rival = open(&server).await;
    proxy.lose_answer(MARKER.as_bytes());
    let events = vec![with_payload(MARKER)];
    let appending = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.append(&stream("a"), ExpectedRevision::NoStream, events).await })
    };
    // As soon as it is there, somebody else writes behind it.
    let overtaking = async {
        while rival.append(&stream("a"), ExpectedRevision::Exact(0), some(1)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time(overtaking).await;
    let appended = in_time(appending).await.unwrap().unwrap();
    assert_eq!((appended.revision, appended.replayed), (0, false));
    assert_eq!(all_of(&*store, &stream("a")).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_and_comes_back_is_found_by_those_who_wait() {
    let mut server = server().await;
    let store = open(&server).await;
    write(&*store, &stream("a"), some(2)).await;
    let mut pages = store.follow(Position::START, Filter::all());
    let mut followed = in_time(pages.next()).await.unwrap().unwrap().events;
    server.stop().await;
    let appending = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.append(&stream("a"), ExpectedRevision::Exact(1), some(3)).await })
    };
    let asked = in_time(store.head()).await;
    assert!(matches!(asked, Err(StoreError::Unavailable { .. })), "{asked:?}");
    server.resume().await.unwrap();
    let appended = in_time(appending).await.unwrap().unwrap();
    assert_eq!((appended.revision, appended.replayed), (4, false));
    while followed.len() < 5 {
        // An outage is an error and not an end.
        if let Ok(page) = in_time(pages.next()).await.unwrap() {
            followed.extend(page.events);
        }
    }
    assert_eq!(ids(&followed), ids(&whole_log(&*store, &Filter::all(), 10).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_away_ends_appends_in_an_error_that_says_so() {
    let mut server = server().await;
    let settings = Settings { give_up_after: Duration::from_millis(300), ..Settings::default() };
    let store = EventStoreDbStore::connect_with(&server.url(), settings).await.unwrap();
    server.stop().await;
    match in_time(store.append(&stream("a"), ExpectedRevision::NoStream, some(1))).await {
        Err(AppendError::Store(StoreError::Unavailable { .. })) => {}
        other => panic!("{other:?}"),
    }
    in_time(store.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_connect_that_is_refused_spoils_nothing_for_the_next() {
    let server = server().await;
    let proxy = Proxy::before(server.address()).await.unwrap();
    let settings = Settings { read_timeout: Duration::from_millis(500), ..Settings::default() };
    let store = EventStoreDbStore::connect_with(&url_of(proxy.address()), settings).await.unwrap();
    write(&store, &stream("a"), some(1)).await;
    // A client that hangs is given up, and the first connect of the next one is refused. Such a client
    // answers that it is closed for ever, and is replaced too.
    proxy.hold();
    assert!(matches!(in_time(store.head()).await, Err(StoreError::Unavailable { .. })));
    proxy.refuse();
    for _ in 0..3 {
        assert!(matches!(in_time(store.head()).await, Err(StoreError::Unavailable { .. })));
    }
    assert!(EventStoreDbStore::connect(&url_of(proxy.address())).await.is_err());
    proxy.forward();
    assert_eq!(all_of(&store, &stream("a")).await.len(), 1);
    write(&store, &stream("a"), some(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_in_between_are_replaced_without_anybody_noticing() {
    let server = server().await;
    let (proxy, store) = behind_a_proxy(&server).await;
    for nth in 1..=5 {
        proxy.cut();
        let appended = in_time(store.append(&stream("a"), ExpectedRevision::Any, some(1))).await.unwrap();
        assert_eq!(appended.revision, nth - 1);
        proxy.cut();
        assert_eq!(in_time(store.head()).await.unwrap(), appended.position);
    }
    assert_eq!(server.log().records().len(), 5);
}
