//! Streams of a split read model that are parked, and let go on.

use std::{collections::BTreeSet, sync::Arc};

use event_store::EventStore;
use projections::sales::Sales;

use super::only;
use crate::{
    history::*,
    world::{World, minute},
};

#[tokio::test]
async fn a_parked_stream_of_a_split_read_model_is_kept_back_and_retried_as_ever() {
    let world = World::new().await;
    for partitions in [4, 4] {
        world.split(Arc::new(Sales), partitions).await.unwrap();
    }
    let process = world.process(only(Sales), "process");
    let orphans: Vec<_> = (500..512).map(order_id).collect();
    for (number, orphan) in (0..).zip(&orphans) {
        world.paid_order(number, minute(0)).await;
        // Confirmed without having been placed: the row to change is not there.
        world.order(*orphan, &confirmed(*orphan, 250), minute(1)).await;
    }
    world.reached("sales", world.store.head().await.unwrap()).await;
    let mut db = world.projector().await;
    for orphan in &orphans {
        sqlx::query(
            "insert into sales_v3.sold_orders (order_id, currency, units, amount) values ($1, 'GBP', 1, 250)",
        )
        .bind(orphan.0)
        .execute(&mut db)
        .await
        .unwrap();
    }
    let retried = projections::retry(&Sales, None, &*world.store, &world.databases.projector).await.unwrap();
    assert_eq!(retried.len(), orphans.len());
    assert!(retried.iter().all(|retried| retried.applied == 1 && !retried.parked_again), "{retried:?}");
    // They go on, each in its partition.
    for orphan in &orphans {
        world.order(*orphan, &cancelled(*orphan), minute(2)).await;
    }
    world.reached("sales", world.store.head().await.unwrap()).await;
    let days: (i64, i64) = sqlx::query_as("select orders, cancelled_orders from read.sales_days")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(days, (24, 12));
    process.stop().await;
}

#[tokio::test]
async fn an_event_of_a_partition_that_is_behind_is_retried_once_and_not_before_its_time() {
    let world = World::new().await;
    world.split(Arc::new(Sales), 2).await.unwrap();
    // An order of each partition, which are at different places.
    let mut db = world.projector().await;
    let process = world.process(only(Sales), "process");
    let orders: Vec<_> = (1..=20).map(order_id).collect();
    for order in &orders {
        world.order(*order, &confirmed(*order, 250), minute(0)).await;
    }
    world.reached("sales", world.store.head().await.unwrap()).await;
    process.stop().await;
    world.stop_partition(1, &mut db).await;
    let process = world.process(only(Sales), "process");
    for order in &orders {
        world.order(*order, &cancelled(*order), minute(1)).await;
    }
    world.all_but_one_reached_the_end("sales_v2").await;
    for order in &orders {
        sqlx::query(
            "insert into sales_v2.sold_orders (order_id, currency, units, amount) values ($1, 'GBP', 1, 250)",
        )
        .bind(order.0)
        .execute(&mut db)
        .await
        .unwrap();
    }
    let retried = projections::retry(&Sales, None, &*world.store, &world.databases.projector).await.unwrap();
    let applied: BTreeSet<u64> = retried.iter().map(|retried| retried.applied).collect();
    assert_eq!(applied, [1, 2].into(), "what the slow partition has not got to is left to it");
    world.free_partition(1, &mut db).await;
    world.reached("sales", world.store.head().await.unwrap()).await;
    let days: (i64, i64) = sqlx::query_as("select orders, cancelled_orders from read.sales_days")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(days, (20, 20));
    process.stop().await;
}
