//! The worst answer is none. A request or an answer is lost on the way, between the store and its
//! database; the caller must hear the truth all the same, and the log must hold every event once.

use std::time::Duration;

use event_store::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, NewEvent, StoreError,
    postgres::{PostgresStore, Settings},
};
use futures::future::join_all;
use platform::proxy::Proxy;

use super::behind_a_proxy;
use crate::{
    adapters::migrated_database,
    history::{ids, in_time, place, position, some, stream, whole_log, with_payload, write},
};

/// So unlike anything else that the proxy recognizes the request that holds it.
const MARKER: &str = "{\"marker\":\"the answer to this append never arrives\"}";

async fn store_behind_a_proxy(settings: Settings) -> (Proxy, PostgresStore) {
    let databases = migrated_database().await;
    let (proxy, proxied) = behind_a_proxy(&databases).await;
    let store = PostgresStore::connect_with(proxied.service, settings).await.unwrap();
    (proxy, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_answered_once_and_written_once() {
    let (proxy, store) = store_behind_a_proxy(Settings::default()).await;
    write(&store, &stream("a"), some(1)).await;
    proxy.lose_answer(MARKER.as_bytes());
    let events = vec![with_payload(MARKER), with_payload("{}")];
    let appended =
        in_time(store.append(&stream("a"), ExpectedRevision::Exact(0), events.clone())).await.unwrap();
    assert_eq!(proxy.cuts(), 1, "the fault happened");
    assert_eq!(appended, Appended { revision: 2, position: position(3), replayed: true });

    let log = whole_log(&store, &Filter::all(), 10).await;
    assert_eq!(ids(&log)[1..], [events[0].id, events[1].id]);
    let again = store.append(&stream("a"), ExpectedRevision::Exact(0), events).await.unwrap();
    assert_eq!(again, appended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrived_is_made_again() {
    let (proxy, store) = store_behind_a_proxy(Settings::default()).await;
    write(&store, &stream("a"), some(1)).await;
    proxy.lose_request(MARKER.as_bytes());
    let events = vec![with_payload(MARKER)];
    let appended = in_time(store.append(&stream("a"), ExpectedRevision::Exact(0), events)).await.unwrap();
    assert_eq!(proxy.cuts(), 1, "the fault happened");
    assert_eq!(appended, Appended { revision: 1, position: position(2), replayed: false });
    assert_eq!(store.head().await.unwrap(), position(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_batch_whose_answer_was_lost_hears_the_truth() {
    let (proxy, store) = store_behind_a_proxy(Settings::default()).await;
    let old = some(1);
    write(&store, &stream("repeated"), old.clone()).await;
    write(&store, &stream("behind"), some(3)).await;
    proxy.lose_answer(MARKER.as_bytes());

    let append = &async |id: &str, expected, events| store.append(&stream(id), expected, events).await;
    let others =
        (0..20).map(|nth| async move { append(&nth.to_string(), ExpectedRevision::NoStream, some(1)).await });
    let (others, repeated, behind, new) = in_time(async {
        tokio::join!(
            join_all(others),
            append("repeated", ExpectedRevision::Any, old),
            append("behind", ExpectedRevision::Exact(0), some(1)),
            append("new", ExpectedRevision::NoStream, vec![with_payload(MARKER)]),
        )
    })
    .await;

    assert_eq!(proxy.cuts(), 1, "the fault happened");
    assert_eq!(repeated.unwrap(), Appended { revision: 0, position: position(1), replayed: true });
    assert!(matches!(behind, Err(AppendError::Conflict { current: Some(2), .. })), "{behind:?}");
    let mut written: Vec<_> = others.into_iter().chain([new]).map(|answer| answer.unwrap()).collect();
    assert!(written.iter().all(|appended| appended.revision == 0));
    written.sort_by_key(|appended| appended.position);
    assert!(written.iter().map(|appended| place(appended.position)).eq(5..=25));
    assert_eq!(store.head().await.unwrap(), position(25));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_wrote_is_not_taken_for_a_first_try_of_ours() {
    let databases = migrated_database().await;
    let (proxy, proxied) = behind_a_proxy(&databases).await;
    let ours = PostgresStore::connect_with(proxied.service, Settings::default()).await.unwrap();
    let theirs = PostgresStore::connect_with(databases.service.clone(), Settings::default()).await.unwrap();
    write(&ours, &stream("a"), some(1)).await;
    let written = with_payload("{\"quantity\":1}");
    let other = NewEvent { id: written.id, ..with_payload(MARKER) };
    write(&theirs, &stream("b"), vec![written.clone()]).await;

    proxy.lose_request(MARKER.as_bytes());
    let found = in_time(ours.append(&stream("b"), ExpectedRevision::NoStream, vec![other])).await.unwrap();

    assert_eq!(proxy.cuts(), 1, "the fault happened");
    assert!(found.replayed, "{found:?}");
    let log = whole_log(&ours, &Filter::all(), 10).await;
    assert_eq!(log[1].payload, written.payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_ends_in_an_error_and_a_repeat_is_safe() {
    let quickly = Duration::from_millis(200);
    let settings = Settings {
        commit_timeout: quickly,
        give_up_after: quickly * 3,
        acquire_timeout: quickly,
        read_timeout: quickly,
        ..Settings::default()
    };
    let (proxy, store) = store_behind_a_proxy(settings).await;
    write(&store, &stream("a"), some(1)).await;
    proxy.hold();
    let events = some(2);
    let unknown = in_time(store.append(&stream("a"), ExpectedRevision::Exact(0), events.clone())).await;
    assert!(matches!(unknown, Err(AppendError::Store(StoreError::Unavailable { .. }))), "{unknown:?}");
    let unread = in_time(store.read_stream(&stream("a"), Direction::Forwards, None, 10)).await;
    assert!(matches!(unread, Err(StoreError::Unavailable { .. })), "{unread:?}");

    proxy.forward();
    let appended = in_time(async {
        loop {
            match store.append(&stream("a"), ExpectedRevision::Exact(0), events.clone()).await {
                Err(AppendError::Store(StoreError::Unavailable { .. })) => {}
                settled => break settled.unwrap(),
            }
        }
    });
    assert_eq!(appended.await.position, position(3));
    assert_eq!(whole_log(&store, &Filter::all(), 10).await.len(), 3);
}
