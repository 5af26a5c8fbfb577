//! How a follower hears of what another process appended: promptly when notifications arrive, and in
//! the end when they do not.

use std::time::Duration;

use event_store::{
    EventStore, Filter, Page, Position, StoreError,
    postgres::{PostgresStore, Settings},
};
use futures::{FutureExt, StreamExt, stream::BoxStream};
use platform::postgres::Databases;
use sqlx::PgConnection;

use super::{behind_a_proxy, connect, execute};
use crate::{
    adapters::migrated_database,
    history::{in_time, positions, some, stream, write},
};

const NEVER: Duration = Duration::from_hours(24);
const SOON: Duration = Duration::from_millis(100);

type Pages = BoxStream<'static, Result<Page, StoreError>>;

/// A store that polls every so often, and follows; and another one to write with.
async fn follower_and_writer(
    databases: &Databases,
    follower: &Databases,
    poll_interval: Duration,
) -> (PostgresStore, Pages, PostgresStore) {
    // It also says how long the listener waits for a connection.
    let settings = Settings { poll_interval, ..Settings::default() };
    let following = PostgresStore::connect_with(follower.service.clone(), settings).await.unwrap();
    let writer = PostgresStore::connect_with(databases.service.clone(), settings).await.unwrap();
    let mut pages = following.follow(Position::START, Filter::all());
    assert!(pages.next().now_or_never().is_none());
    (following, pages, writer)
}

/// The process ids of the backends that listen in this database.
async fn listening(owner: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar(
        "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'",
    )
    .fetch_all(owner)
    .await
    .unwrap()
}

async fn next_position(pages: &mut Pages) -> u64 {
    let page = in_time(pages.next()).await.unwrap().unwrap();
    *positions(&page.events).last().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_notified_of_what_another_process_appends() {
    let databases = migrated_database().await;
    let (_following, mut pages, writer) = follower_and_writer(&databases, &databases, NEVER).await;
    let mut owner = connect(&databases.owner).await;
    in_time(async { while listening(&mut owner).await.len() < 2 {} }).await;
    for nth in 1..=5 {
        write(&writer, &stream("a"), some(1)).await;
        assert_eq!(next_position(&mut pages).await, nth);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_misses_nothing_when_its_listening_connection_is_killed() {
    let databases = migrated_database().await;
    let (_following, mut pages, writer) = follower_and_writer(&databases, &databases, SOON).await;
    let mut owner = connect(&databases.owner).await;
    for nth in 1..=5 {
        let mut killed = Vec::new();
        in_time(async {
            while killed.len() < 2 {
                killed = listening(&mut owner).await;
            }
        })
        .await;
        for backend in &killed {
            sqlx::query("select pg_terminate_backend($1)").bind(backend).execute(&mut owner).await.unwrap();
        }
        write(&writer, &stream("a"), some(1)).await;
        assert_eq!(next_position(&mut pages).await, nth);
        // Both listen again, on new connections.
        in_time(async {
            while listening(&mut owner).await.iter().filter(|backend| !killed.contains(backend)).count() < 2 {
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_finds_what_it_was_never_notified_of_and_listens_anew() {
    let databases = migrated_database().await;
    let (_following, mut pages, writer) = follower_and_writer(&databases, &databases, SOON).await;
    write(&writer, &stream("a"), some(1)).await;
    assert_eq!(next_position(&mut pages).await, 1);
    let mut owner = connect(&databases.owner).await;
    let mut before = Vec::new();
    in_time(async {
        while before.len() < 2 {
            before = listening(&mut owner).await;
        }
    })
    .await;
    let all_anew = async {
        for nth in 2.. {
            // As the append function does it, but for the notification.
            execute(
                &mut owner,
                "insert into event_store.events
                     select position + 1, stream_no, revision + 1, gen_random_uuid(), name, version, payload,
                         metadata, recorded_at
                     from event_store.events order by position desc limit 1;
                 update event_store.head set position = position + 1",
            )
            .await;
            assert_eq!(next_position(&mut pages).await, nth);
            if listening(&mut owner).await.iter().all(|backend| !before.contains(backend)) {
                break;
            }
        }
    };
    in_time(all_anew).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_misses_nothing_when_notifications_are_swallowed() {
    let databases = migrated_database().await;
    let (proxy, proxied) = behind_a_proxy(&databases).await;
    let (_following, mut pages, writer) = follower_and_writer(&databases, &proxied, SOON).await;
    write(&writer, &stream("a"), some(1)).await;
    assert_eq!(next_position(&mut pages).await, 1);
    proxy.hold();
    write(&writer, &stream("a"), some(1)).await;
    proxy.cut();
    proxy.forward();
    // An outage may be heard of; what comes after it goes on where it was.
    let followed = in_time(async {
        loop {
            if let Ok(page) = pages.next().await.unwrap() {
                break positions(&page.events);
            }
        }
    });
    assert_eq!(followed.await, [2]);
}
