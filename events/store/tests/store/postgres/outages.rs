//! The server stops, crashes and comes back. What was acknowledged is there, what was not can be
//! repeated, and nobody has to be started again.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_store::{
    AppendError, Direction, EventStore, ExpectedRevision, Filter, Page, Position, StoreError,
    postgres::{PostgresStore, Settings, migrate},
};
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use platform::postgres::testing::PrivateServer;

use super::{behind_a_proxy, connect, execute, until};
use crate::{
    adapters::migrated_database,
    history::{in_time, place, position, positions, some, stream, whole_log, write},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_again_and_again_loses_nothing_and_doubles_nothing() {
    let PrivateServer { server, databases } = PrivateServer::start().await;
    migrate(&databases.owner).await.unwrap();
    // Shorter than the outages: some callers hear of them, and repeat.
    let settings = Settings { give_up_after: Duration::from_millis(100), ..Settings::default() };
    let store = PostgresStore::connect_with(databases.service, settings).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..16).map(|writer| tokio::spawn(append_until(store.clone(), writer, Arc::clone(&done)))).collect();
    let follower = tokio::spawn(follow_dense(store.clone(), Arc::clone(&done)));

    for _ in 0..3 {
        let before = store.head().await.unwrap();
        let growing = store.clone();
        until(|| async { growing.head().await.is_ok_and(|head| place(head) > place(before) + 50) }).await;
        tokio::task::block_in_place(|| {
            server.crash().unwrap();
            server.resume().unwrap();
        });
        let back = store.clone();
        until(|| async { back.head().await.is_ok() }).await;
    }
    done.store(true, Ordering::SeqCst);
    let mut acknowledged: Vec<Position> = Vec::new();
    for writer in join_all(writers).await {
        acknowledged.extend(writer.unwrap());
    }
    write(&store, &stream("done"), some(1)).await;
    let seen = in_time(follower).await.unwrap();

    let log = in_time(whole_log(&store, &Filter::all(), 1_000)).await;
    assert_eq!(positions(&log), (1..=log.len() as u64).collect::<Vec<_>>());
    assert_eq!(seen, positions(&log));
    // Every append was of one event and was repeated until it was acknowledged.
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, (1..log.len() as u64).map(position).collect::<Vec<_>>());
    let mut streams: HashMap<_, u64> = HashMap::new();
    for event in &log {
        let next = streams.entry(&event.stream).or_default();
        assert_eq!(event.revision, *next, "of {} at {}", event.stream, event.position);
        *next += 1;
    }
}

async fn append_until(store: PostgresStore, writer: usize, done: Arc<AtomicBool>) -> Vec<Position> {
    let mut acknowledged = Vec::new();
    let stream = stream(&writer.to_string());
    while !done.load(Ordering::SeqCst) {
        let expected = ExpectedRevision::after((acknowledged.len() as u64).checked_sub(1));
        let events = some(1);
        let appended = loop {
            match store.append(&stream, expected, events.clone()).await {
                Ok(appended) => break appended,
                Err(AppendError::Store(StoreError::Unavailable { .. })) => {}
                Err(other) => panic!("{other}"),
            }
        };
        acknowledged.push(appended.position);
    }
    acknowledged
}

async fn follow_dense(store: PostgresStore, done: Arc<AtomicBool>) -> Vec<u64> {
    let mut followed: Vec<u64> = Vec::new();
    let mut pages = store.follow(Position::START, Filter::all());
    while let Some(page) = pages.next().await {
        // An outage; the next page goes on where the last one ended.
        let Ok(Page { events, end, .. }) = page else { continue };
        followed.extend(positions(&events));
        if end
            && done.load(Ordering::SeqCst)
            && events.last().is_some_and(|event| event.stream == stream("done"))
        {
            break;
        }
    }
    followed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_ends_appends_in_an_error_that_says_so() {
    let PrivateServer { server, databases } = PrivateServer::start().await;
    migrate(&databases.owner).await.unwrap();
    let settings = Settings {
        give_up_after: Duration::from_millis(100),
        acquire_timeout: Duration::from_millis(100),
        ..Settings::default()
    };
    let store = PostgresStore::connect_with(databases.service.clone(), settings).await.unwrap();
    tokio::task::block_in_place(|| server.stop().unwrap());
    match in_time(store.append(&stream("a"), ExpectedRevision::NoStream, some(1))).await {
        Err(AppendError::Store(StoreError::Unavailable { doing: "appending", .. })) => {}
        other => panic!("{other:?}"),
    }
    assert!(matches!(in_time(store.head()).await, Err(StoreError::Unavailable { .. })));
    let refused = in_time(PostgresStore::connect_with(databases.service, settings)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    in_time(store.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_gets_no_connection_in_time_is_told_so() {
    let databases = migrated_database().await;
    let settings = Settings {
        read_connections_max: 1,
        acquire_timeout: Duration::from_millis(100),
        // The one that has the connection waits for longer than anybody waits for it.
        read_timeout: Duration::from_mins(2),
        ..Settings::default()
    };
    let store = PostgresStore::connect_with(databases.service, settings).await.unwrap();
    let mut owner = connect(&databases.owner).await;
    execute(&mut owner, "begin").await;
    execute(&mut owner, "lock table event_store.streams in access exclusive mode").await;
    let read = || {
        let store = store.clone();
        tokio::spawn(async move { store.read_stream(&stream("a"), Direction::Backwards, None, 10).await })
    };
    let first = read();
    let mut onlooker = connect(&databases.owner).await;
    in_time(async {
        let sql = "select exists (select from pg_locks where not granted
                       and relation = 'event_store.streams'::regclass)";
        while !sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut onlooker).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut others: FuturesUnordered<_> = (0..3).map(|_| read()).collect();
    while let Some(refused) = in_time(others.next()).await {
        match refused.unwrap() {
            Err(StoreError::Unavailable { doing: "reading a stream", .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    execute(&mut owner, "rollback").await;
    assert_eq!(in_time(first).await.unwrap().unwrap(), []);
}

/// As many reads at once as there can be connections, and none of them fails.
async fn read_over_all_connections(store: &PostgresStore) {
    let stream = stream("a");
    let heads = join_all((0..32).map(|_| store.head()));
    let reads = join_all((0..32).map(|_| store.read_stream(&stream, Direction::Forwards, None, 1)));
    let (heads, reads) = tokio::join!(heads, reads);
    for head in heads {
        head.unwrap();
    }
    for events in reads {
        assert_eq!(events.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_all_cut_are_replaced_without_anybody_noticing() {
    let databases = migrated_database().await;
    let (proxy, proxied) = behind_a_proxy(&databases).await;
    let store = PostgresStore::connect(proxied.service).await.unwrap();
    write(&store, &stream("a"), some(1)).await;
    for _ in 0..3 {
        in_time(read_over_all_connections(&store)).await;
        proxy.cut();
        in_time(read_over_all_connections(&store)).await;
        in_time(store.append(&stream("a"), ExpectedRevision::Any, some(1))).await.unwrap();
    }
}
