//! Rebuilding: beside what is read, resumable, compared row by row, promoted at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_store::EventStore;
use projections::{Error, Projector, RebuildOptions, feed::Feed, orders::Orders, sales::Sales, stock::Stock};
use sqlx::Connection;

use crate::{
    history::*,
    world::{World, eventually, minute, within},
};

#[tokio::test]
async fn rows_do_not_depend_on_how_the_log_is_cut_and_dealt_out() {
    for (seed, events_max) in [(0, 1), (1, 3), (2, 12), (3, 60), (4, 7), (5, 7)] {
        let world = World::new().await;
        world.busy_day(seed, 0..60).await;
        for projection in projections::all() {
            let name = projection.definition().name;
            // Live: some events at a time. From scratch: thousands at a time, by several workers, who
            // see the streams in another order.
            world.catch_up_in_pieces(projection.clone(), events_max, seed).await;
            let verified = world.verify(projection).await;
            assert_eq!(verified.position, world.store.head().await.unwrap());
            assert_eq!(verified.differences, [], "{name}, seed {seed}, up to {events_max} at a time");
            assert!(verified.rows > 0, "{name} has rows");
        }
    }
}

#[tokio::test]
async fn events_that_come_in_one_by_one_give_the_same_rows_as_all_at_once() {
    let world = World::new().await;
    let runners: Vec<_> =
        [world.run(Orders, "one"), world.run(Sales, "two"), world.run(Stock, "three")].into();
    // Live, batches are whatever has been appended since the one before.
    world.busy_day(11, 0..80).await;
    let head = world.store.head().await.unwrap();
    for (projection, name) in [
        (Arc::new(Orders) as Arc<dyn Projector>, "orders"),
        (Arc::new(Sales), "sales"),
        (Arc::new(Stock), "stock"),
    ] {
        world.reached(name, head).await;
        assert_eq!(world.verify(projection).await.differences, [], "{name}");
    }
    for runner in runners {
        runner.stop().await;
    }
}

#[tokio::test]
async fn verifying_finds_every_row_that_is_not_as_it_should_be() {
    let world = World::new().await;
    for number in 1..=20 {
        world.paid_order(number, minute(0)).await;
    }
    world.catch_up(Orders).await;
    let mut db = world.projector().await;
    sqlx::raw_sql(
        "update orders_v1.orders set total = total + 1 where order_id = '00000000-0000-0000-0000-000000000003';
         delete from orders_v1.order_lines
         where order_id = '00000000-0000-0000-0000-000000000005' and line = 1;
         insert into orders_v1.order_lines
         values ('00000000-0000-0000-0000-000000000006', 7, 'mug', 1, 1, 1);",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let verified = world.verify(Arc::new(Orders)).await;
    let mut found: Vec<_> = verified
        .differences
        .iter()
        .map(|row| (row.table, row.key.clone(), row.live.is_some(), row.rebuilt.is_some()))
        .collect();
    found.sort();
    let key = |number: u8, rest: &str| format!("(00000000-0000-0000-0000-{number:012}{rest})");
    assert_eq!(
        found,
        [
            ("order_lines", key(5, ",1"), false, true),
            ("order_lines", key(6, ",7"), true, false),
            ("orders", key(3, ""), true, true),
        ]
    );
    let left: i64 =
        sqlx::query_scalar("select count(*) from projections.versions").fetch_one(&mut db).await.unwrap();
    assert_eq!(left, 1, "what was built to compare is gone");
}

#[tokio::test]
async fn a_version_that_differs_is_promoted_only_when_somebody_accepts_that() {
    let world = World::new().await;
    world.paid_order(1, minute(0)).await;
    world.catch_up(Sales).await;
    let mut db = world.projector().await;
    sqlx::raw_sql("update sales_v1.sales_days set amount = 1").execute(&mut db).await.unwrap();
    let amount = async |db: &mut sqlx::PgConnection| -> i64 {
        sqlx::query_scalar("select amount from read.sales_days").fetch_one(db).await.unwrap()
    };

    let refused = world.rebuild(Sales, &RebuildOptions::default()).await;
    let Err(Error::Differs { differences, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((differences.len(), differences[0].table), (1, "sales_days"));
    assert_eq!(amount(&mut db).await, 1, "readers keep what they had");

    let options = RebuildOptions { accept_differences: true, ..RebuildOptions::default() };
    let rebuilt = world.rebuild(Sales, &options).await.unwrap();
    assert_eq!((rebuilt.version, rebuilt.differences.len()), (2, 1));
    assert_eq!(amount(&mut db).await, 1500);
}

#[tokio::test]
async fn readers_and_writers_go_on_during_a_rebuild_and_never_go_back() {
    let world = Arc::new(World::new().await);
    world.busy_day(1, 0..100).await;
    let runner = world.run(Sales, "runner");
    world.reached("sales", world.store.head().await.unwrap()).await;
    let done = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn(read_until(world.clone(), done.clone()));
    let writing = tokio::spawn({
        let (world, done) = (world.clone(), done.clone());
        async move {
            for number in 1_000.. {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                world.paid_order(number, minute(0)).await;
                // At the pace of a shop: a log in memory takes more than any database.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    for version in 2..=4 {
        let options = RebuildOptions { workers: version, ..RebuildOptions::default() };
        let rebuilt = within("the rebuild ends", world.rebuild(Sales, &options)).await.unwrap();
        assert_eq!((rebuilt.version, rebuilt.differences), (i32::from(version), Vec::new()));
    }
    done.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    let reads = reading.await.unwrap();
    assert!(reads > 0);
    // The runner has moved on to the version that was promoted last.
    world.reached("sales", world.store.head().await.unwrap()).await;
    runner.stop().await;
    assert_eq!(world.verify(Arc::new(Sales)).await.differences, []);
    let mut db = world.projector().await;
    let states: Vec<(i32, String)> =
        sqlx::query_as("select version, state from projections.versions order by 1")
            .fetch_all(&mut db)
            .await
            .unwrap();
    assert_eq!(states, [(3, "previous".to_owned()), (4, "live".to_owned())]);
}

/// Reads as the query API does, checking that what is seen never goes back in the log.
async fn read_until(world: Arc<World>, done: Arc<AtomicBool>) -> u64 {
    let mut reader = world.reader().await;
    let (mut reads, mut last) = (0, (0, 0));
    while !done.load(Ordering::SeqCst) {
        let mut tx = reader.begin_with(projections::snapshot_of("sales")).await.unwrap();
        let position: i64 =
            sqlx::query_scalar("select position from read.sales_position").fetch_one(&mut *tx).await.unwrap();
        let sold: i64 = sqlx::query_scalar("select coalesce(sum(orders), 0)::bigint from read.sales_days")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        tx.rollback().await.unwrap();
        assert!((position, sold) >= last, "{:?} after {last:?}", (position, sold));
        last = (position, sold);
        reads += 1;
    }
    reads
}

#[tokio::test]
async fn a_rebuild_that_is_killed_goes_on_where_it_was() {
    let world = World::new().await;
    world.busy_day(5, 0..400).await;
    world.catch_up(Orders).await;
    let options = RebuildOptions { workers: 3, ..RebuildOptions::default() };
    for pause_ms in [1, 5, 10, 20, 40, 80] {
        let attempt = world.rebuild(Orders, &options);
        // Dropped in the middle, as by a crash: none of its workers runs on.
        let _ = tokio::time::timeout(Duration::from_millis(pause_ms), attempt).await;
        let mut db = world.projector().await;
        eventually("the sessions of the dead rebuild are gone", async || {
            let sql = "select count(*) from pg_stat_activity
                       where datname = current_database() and application_name like '% projection orders'";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut db).await.unwrap() == 0
        })
        .await;
    }
    let rebuilt = world.rebuild(Orders, &options).await.unwrap();
    assert_eq!(rebuilt.differences, []);
    assert_eq!(world.verify(Arc::new(Orders)).await.differences, []);
}

#[tokio::test]
async fn one_can_go_back_to_the_version_before() {
    let world = World::new().await;
    world.paid_order(1, minute(0)).await;
    world.catch_up(Feed).await;
    world.rebuild(Feed, &RebuildOptions::default()).await.unwrap();
    world.paid_order(2, minute(0)).await;
    world.catch_up(Feed).await;
    let roll_back = async || {
        let (store, projector) = (world.store.clone(), world.databases.projector.clone());
        projections::roll_back(Arc::new(Feed), store, projector, "operator").await
    };
    assert_eq!(roll_back().await.unwrap().version, 1);
    let mut db = world.reader().await;
    let count: i64 =
        sqlx::query_scalar("select count(*) from read.order_changes").fetch_one(&mut db).await.unwrap();
    assert_eq!(count, 10, "it was brought up to date before the switch");
    assert_eq!(roll_back().await.unwrap().version, 2);
}

#[tokio::test]
async fn a_parked_stream_is_parked_in_the_next_version_too() {
    let world = World::new().await;
    world.paid_order(1, minute(0)).await;
    let orphan = order_id(50);
    world.order(orphan, &confirmed(orphan, 250), minute(1)).await;
    world.paid_order(2, minute(2)).await;
    world.catch_up(Sales).await;
    let rebuilt = world.rebuild(Sales, &RebuildOptions::default()).await.unwrap();
    assert_eq!(rebuilt.differences, []);
    let parked: Vec<(i32, i64)> =
        sqlx::query_as("select version, held from projections.parked_streams order by version")
            .fetch_all(&mut world.projector().await)
            .await
            .unwrap();
    assert_eq!(parked, [(1, 1), (2, 1)]);
}
