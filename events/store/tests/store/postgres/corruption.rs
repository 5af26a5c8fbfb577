//! Somebody with the rights of the owner has changed the log behind our back. Nobody reads on over a
//! hole, and nothing is written that would hide it.

use event_store::{
    AppendError, Direction, EventStore, ExpectedRevision, Filter, Position, RecordedEvent, StoreError,
    postgres::PostgresStore,
};
use events::{Category, StreamName};
use futures::{StreamExt, future::join_all};
use platform::postgres::Databases;

use super::{connect, execute};
use crate::{
    adapters::migrated_database,
    history::{named, position, some, stream, write},
};

async fn store_with_five_events() -> (Databases, PostgresStore) {
    let databases = migrated_database().await;
    let store = PostgresStore::connect(databases.service.clone()).await.unwrap();
    write(&store, &stream("a"), some(5)).await;
    (databases, store)
}

async fn tamper(databases: &Databases, change: &'static str) {
    let mut owner = connect(&databases.owner).await;
    execute(&mut owner, "alter table event_store.events disable trigger events_are_never_changed").await;
    execute(&mut owner, change).await;
}

fn is_corrupt<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Corrupt { .. }))
}

#[tokio::test]
async fn nobody_reads_on_over_an_event_that_was_removed() {
    let (databases, store) = store_with_five_events().await;
    tamper(&databases, "delete from event_store.events where position = 3").await;

    assert!(is_corrupt(&store.read_all(Position::START, &Filter::all(), 10).await));
    assert!(is_corrupt(&store.read_all(position(2), &Filter::all(), 1).await));
    // Not even a reader who would not have wanted it.
    let others = Filter::categories([Category::Payment]);
    assert!(is_corrupt(&store.read_all(Position::START, &others, 10).await));
    // And nobody who follows, but for whoever has appended it himself and knows it from that.
    let elsewhere = PostgresStore::connect(databases.service.clone()).await.unwrap();
    assert!(is_corrupt(&elsewhere.follow(position(1), others).next().await.unwrap()));

    for direction in [Direction::Forwards, Direction::Backwards] {
        assert!(is_corrupt(&store.read_stream(&stream("a"), direction, None, 10).await));
    }
    assert!(is_corrupt(&store.read_stream(&stream("a"), Direction::Forwards, Some(2), 1).await));
    assert_eq!(store.read_all(position(3), &Filter::all(), 10).await.unwrap().events.len(), 2);
}

/// Large pages come another way than small ones.
#[tokio::test]
async fn nobody_reads_on_over_what_is_wrong_with_a_large_page() {
    let (databases, store) = store_with_five_events().await;
    write(&store, &stream("b"), some(995)).await;
    let page = async |after, limit| store.read_all(position(after), &Filter::all(), limit).await;
    tamper(&databases, "delete from event_store.events where position = 300").await;
    assert!(is_corrupt(&page(0, 500).await));
    assert!(is_corrupt(&page(299, 500).await));
    tamper(&databases, "update event_store.events set metadata = '{}' where position = 600").await;
    // As often as there are connections, so that each has had it.
    for _ in 0..10 {
        assert!(is_corrupt(&page(400, 500).await));
    }
    assert_eq!(page(600, 300).await.unwrap().events.len(), 300);
    tamper(&databases, "delete from event_store.events where position between 700 and 950").await;
    assert!(is_corrupt(&page(650, 300).await));
}

#[tokio::test]
async fn a_large_page_that_is_refused_spoils_no_read_after_it() {
    let (databases, store) = store_with_five_events().await;
    write(&store, &stream("b"), some(995)).await;
    let mut owner = connect(&databases.owner).await;
    for _ in 0..3 {
        execute(&mut owner, "revoke select on event_store.events from counterfoil_service").await;
        let refused = store.read_all(Position::START, &Filter::all(), 500).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        execute(&mut owner, "grant select on event_store.events to counterfoil_service").await;
        // More often than there are connections.
        for _ in 0..20 {
            assert_eq!(store.read_all(Position::START, &Filter::all(), 10).await.unwrap().events.len(), 10);
            let read = store.read_stream(&stream("a"), Direction::Forwards, None, 10).await.unwrap();
            assert_eq!(read.len(), 5);
        }
    }
}

/// As after a copy was put back.
#[tokio::test]
async fn who_has_heard_of_more_than_there_is_reads_what_there_is() {
    let (databases, store) = store_with_five_events().await;
    write(&store, &stream("b"), some(995)).await;
    tamper(&databases, "delete from event_store.events where position > 400").await;
    tamper(&databases, "update event_store.head set position = 400").await;
    let page = store.read_all(position(100), &Filter::all(), 500).await.unwrap();
    assert_eq!((page.events.len(), page.scanned, page.end), (300, position(400), true));
}

#[tokio::test]
async fn a_log_that_was_cut_short_is_not_taken_for_its_end() {
    let (databases, store) = store_with_five_events().await;
    tamper(&databases, "delete from event_store.events where position >= 4").await;
    assert!(is_corrupt(&store.read_all(position(3), &Filter::all(), 10).await));
}

#[tokio::test]
async fn an_envelope_that_was_spoilt_is_reported_and_not_skipped() {
    let (databases, store) = store_with_five_events().await;
    tamper(&databases, "update event_store.events set metadata = '{}' where position = 2").await;
    assert!(is_corrupt(&store.read_all(Position::START, &Filter::all(), 10).await));
    assert!(is_corrupt(&store.read_stream(&stream("a"), Direction::Forwards, None, 10).await));
}

/// Reads forty streams together with one that is spoilt, and expects only that one to fail.
async fn only_the_spoilt_one_fails(
    store: &PostgresStore,
    spoilt: &StreamName,
    others: &[StreamName],
    is_expected: impl Fn(&Result<Vec<RecordedEvent>, StoreError>) -> bool,
) {
    for _ in 0..5 {
        let streams = others.iter().flat_map(|other| [other, spoilt]);
        let reads = streams.map(|stream| async move {
            (stream, store.read_stream(stream, Direction::Forwards, None, 10).await)
        });
        for (read, events) in join_all(reads).await {
            if read == spoilt {
                assert!(is_expected(&events), "{events:?}");
            } else {
                let events = events.unwrap();
                assert!(events.len() == 2 && events.iter().all(|event| event.stream == *read), "{events:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_spoilt_spoils_no_other_that_is_read_together_with_it() {
    let (databases, store) = store_with_five_events().await;
    let others: Vec<_> = (0..40).map(|nth| stream(&nth.to_string())).collect();
    for other in &others {
        write(&store, other, some(2)).await;
    }
    tamper(&databases, "update event_store.events set metadata = '{}' where position = 2").await;
    only_the_spoilt_one_fails(&store, &stream("a"), &others, is_corrupt).await;
    // The server itself fails over it, as over a page that is damaged.
    for damage in [
        "create policy damaged on event_store.events using (position <> 2 or 1 / (position - 2) = 1)",
        "alter table event_store.events enable row level security",
    ] {
        tamper(&databases, damage).await;
    }
    let is_refused = |answer: &Result<_, _>| matches!(answer, Err(StoreError::Unavailable { .. }));
    only_the_spoilt_one_fails(&store, &stream("a"), &others, is_refused).await;
}

/// As after a copy was put back and the log was written on from there.
#[tokio::test]
async fn names_that_were_read_on_another_connection_are_not_trusted() {
    let (databases, store) = store_with_five_events().await;
    write(&store, &stream("b"), some(1)).await;
    let names = async || {
        let page = store.read_all(Position::START, &Filter::all(), 10).await.unwrap();
        page.events.into_iter().map(|event| event.stream).collect::<Vec<_>>()
    };
    assert_eq!(names().await, [vec![stream("a"); 5], vec![stream("b")]].concat());
    let mut owner = connect(&databases.owner).await;
    execute(&mut owner, "alter table event_store.streams disable trigger streams_are_never_changed").await;
    execute(&mut owner, "update event_store.streams set name = 'order-c' where name = 'order-a'").await;
    let mut service = connect(&databases.service).await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and usename = current_user and pid <> pg_backend_pid()";
    execute(&mut service, cut).await;
    assert_eq!(names().await, [vec![stream("c"); 5], vec![stream("b")]].concat());
}

#[tokio::test]
async fn nothing_is_written_over_a_position_that_is_taken() {
    let (databases, store) = store_with_five_events().await;
    tamper(
        &databases,
        "insert into event_store.events select 6, stream_no, 5, gen_random_uuid(), name, version, payload, metadata,
            recorded_at from event_store.events where position = 5",
    )
    .await;
    match store.append(&stream("b"), ExpectedRevision::NoStream, some(1)).await {
        Err(AppendError::Store(StoreError::Corrupt { reason })) => {
            assert!(reason.contains("positions_are_taken_once"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.head().await.unwrap(), position(5));
}

#[tokio::test]
async fn an_append_that_the_database_refuses_does_not_take_others_down_with_it() {
    let databases = migrated_database().await;
    let store = PostgresStore::connect(databases.service.clone()).await.unwrap();
    tamper(
        &databases,
        "alter table event_store.events add constraint no_such_event check (name <> 'Refused')",
    )
    .await;
    let streams: Vec<_> = (0..12).map(|nth| stream(&nth.to_string())).collect();
    let appends = streams.iter().zip(0..).map(|(stream, nth)| {
        let event = named(if nth == 5 { "Refused" } else { "OrderPlaced" });
        store.append(stream, ExpectedRevision::NoStream, vec![event])
    });
    let (refused, made): (Vec<_>, Vec<_>) =
        join_all(appends).await.into_iter().partition(|answer: &Result<_, AppendError>| answer.is_err());
    assert_eq!((refused.len(), made.len()), (1, 11));
    assert_eq!(store.head().await.unwrap(), position(11));
}
