//! Several processes append to one log: each has connections and a sequencer of its own, and they meet
//! at the lock of the head. One of them may die while it holds that lock.

use std::sync::Arc;

use event_store::{EventStore, ExpectedRevision, Filter, postgres::PostgresStore};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{connect, execute, until};
use crate::{
    adapters::migrated_database,
    contract::contention,
    history::{in_time, position, positions, some, stream, whole_log, write},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_writers_in_three_processes_no_reader_ever_skips_or_reorders() {
    let databases = migrated_database().await;
    let stores = join_all((0..3).map(|_| PostgresStore::connect(databases.service.clone()))).await;
    let stores: Vec<Arc<dyn EventStore>> =
        stores.into_iter().map(|store| Arc::new(store.unwrap()) as Arc<dyn EventStore>).collect();
    in_time(contention::contend(&stores)).await;
}

/// A writer of another process: it has the lock of the head, has written, and does not commit.
async fn append_without_committing(connection: &mut PgConnection) {
    execute(connection, "begin").await;
    execute(
        connection,
        "select * from event_store.append(
            array['order-dying'], array['order'], array[-1], array[1],
            array[1], array[0], array[gen_random_uuid()], array['OrderPlaced'], array[1::smallint],
            array['{}'::bytea], array['{}'])",
    )
    .await;
}

/// How many backends of this database wait for a lock.
async fn waiting_for_a_lock(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_dies_in_mid_transaction_leaves_no_trace_and_stops_nobody() {
    let databases = migrated_database().await;
    let store = PostgresStore::connect(databases.service.clone()).await.unwrap();
    write(&store, &stream("a"), some(2)).await;

    let mut dying = connect(&databases.service).await;
    append_without_committing(&mut dying).await;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut dying).await.unwrap();

    // Readers go on, and see nothing of it.
    assert_eq!(store.head().await.unwrap(), position(2));
    assert_eq!(positions(&whole_log(&store, &Filter::all(), 10).await), [1, 2]);

    // The next writer waits for the lock, until the one who holds it is killed.
    let next = {
        let store = store.clone();
        tokio::spawn(async move { store.append(&stream("b"), ExpectedRevision::NoStream, some(3)).await })
    };
    let mut owner = connect(&databases.owner).await;
    in_time(async { while waiting_for_a_lock(&mut owner).await == 0 {} }).await;
    assert!(!next.is_finished());
    let kill = AssertSqlSafe(format!("select pg_terminate_backend({backend})"));
    sqlx::raw_sql(kill).execute(&mut owner).await.unwrap();

    let appended = in_time(next).await.unwrap().unwrap();
    assert_eq!((appended.revision, appended.position, appended.replayed), (2, position(5), false));
    assert_eq!(positions(&whole_log(&store, &Filter::all(), 10).await), [1, 2, 3, 4, 5]);
    assert!(dying.ping().await.is_err(), "it was killed, not finished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_whose_callers_went_away_are_still_made() {
    let databases = migrated_database().await;
    let store = PostgresStore::connect(databases.service.clone()).await.unwrap();
    let mut owner = connect(&databases.owner).await;
    let mut holding = connect(&databases.service).await;
    append_without_committing(&mut holding).await;

    // The first is being committed, the others wait in the queue.
    let callers: Vec<_> = (0..4)
        .map(|nth| {
            let store = store.clone();
            let stream = stream(&nth.to_string());
            tokio::spawn(async move { store.append(&stream, ExpectedRevision::NoStream, some(2)).await })
        })
        .collect();
    in_time(async { while waiting_for_a_lock(&mut owner).await == 0 {} }).await;
    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    execute(&mut holding, "rollback").await;

    let made = store.clone();
    until(|| async { made.head().await.unwrap() == position(8) }).await;
}
