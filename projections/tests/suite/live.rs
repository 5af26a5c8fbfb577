//! The live runner: leases, crashes, parked streams.

use std::time::Duration;

use event_store::{EventStore, Position, memory::FaultPlan};
use events::{
    Category,
    order::{self, OrderEvent},
};
use projections::{Positions, orders::Orders, sales::Sales};
use tokio_util::sync::CancellationToken;

use crate::{
    history::*,
    world::{World, minute, within},
};

#[tokio::test]
async fn a_second_runner_stands_by_and_takes_over_when_the_first_is_gone() {
    let world = World::new().await;
    let first = world.run(Orders, "first");
    world.paid_order(1, minute(0)).await;
    world.reached("orders", world.store.head().await.unwrap()).await;
    let second = world.run(Orders, "second");
    let mut db = world.projector().await;
    let holder = "select holder from projections.versions where projection = 'orders'";
    let held: String = sqlx::query_scalar(holder).fetch_one(&mut db).await.unwrap();
    assert_eq!(held, "first");

    first.abort().await;
    world.paid_order(2, minute(1)).await;
    world.reached("orders", world.store.head().await.unwrap()).await;
    let held: String = sqlx::query_scalar(holder).fetch_one(&mut db).await.unwrap();
    assert_eq!(held, "second");
    second.stop().await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_is_parked_and_the_others_go_on() {
    let world = World::new().await;
    let runner = world.run(Orders, "runner");
    let (bad, good) = (order_id(1), order_id(2));
    world.order(bad, &placed(bad, None, vec![line("mug", 1, 250)]), minute(0)).await;
    let stream = Category::Order.stream(bad);
    world.append_raw(&stream, "OrderConfirmed", 99, "{}", minute(1)).await;
    world.order(good, &placed(good, None, vec![line("mug", 1, 250)]), minute(2)).await;
    world.order(bad, &OrderEvent::Completed(order::Completed { order_id: bad }), minute(3)).await;
    world.order(good, &confirmed(good, 250), minute(4)).await;
    world.reached("orders", world.store.head().await.unwrap()).await;
    runner.stop().await;

    let statuses: Vec<(uuid::Uuid, String)> =
        sqlx::query_as("select order_id, status from read.orders order by 1")
            .fetch_all(&mut world.reader().await)
            .await
            .unwrap();
    assert_eq!(statuses, [(bad.0, "placed".to_owned()), (good.0, "confirmed".to_owned())]);
    let status = projections::status(&projections::all(), &*world.store, &world.databases.projector).await;
    let status = status.unwrap_or_default();
    let orders = status.iter().find(|status| status.name == "orders").unwrap();
    assert_eq!(orders.parked.len(), 1);
    assert_eq!((orders.parked[0].stream.as_str(), orders.parked[0].revision), (stream.as_str(), 1));
    assert_eq!(orders.parked[0].held, 2);
    assert!(orders.parked[0].reason.contains("version 99 is unknown"), "{}", orders.parked[0].reason);
}

#[tokio::test]
async fn a_stream_that_cannot_be_applied_is_parked_from_that_event_on_and_can_be_retried() {
    let world = World::new().await;
    for number in 1..=9 {
        world.paid_order(number, minute(0)).await;
    }
    // Confirmed without having been placed: the row to change is not there.
    let orphan = order_id(100);
    world.order(orphan, &confirmed(orphan, 250), minute(1)).await;
    for number in 11..=19 {
        world.paid_order(number, minute(2)).await;
    }
    world.catch_up(Sales).await;
    let mut db = world.projector().await;
    let days = "select orders, amount from read.sales_days";
    let sold: (i64, i64) = sqlx::query_as(days).fetch_one(&mut db).await.unwrap();
    assert_eq!(sold, (18, 18 * 1500));

    let retry =
        async || projections::retry(&Sales, None, &*world.store, &world.databases.projector).await.unwrap();
    let still = retry().await;
    assert_eq!((still.len(), still[0].applied, still[0].parked_again), (1, 0, true));
    sqlx::query(
        "insert into sales_v1.sold_orders (order_id, currency, units, amount) values ($1, 'GBP', 1, 250)",
    )
    .bind(orphan.0)
    .execute(&mut db)
    .await
    .unwrap();
    let now = retry().await;
    assert_eq!(
        (now[0].stream.as_str(), now[0].applied, now[0].parked_again),
        (Category::Order.stream(orphan).as_str(), 1, false)
    );
    let sold: (i64, i64) = sqlx::query_as(days).fetch_one(&mut db).await.unwrap();
    assert_eq!(sold, (19, 18 * 1500 + 250));
    assert!(retry().await.is_empty());
}

#[tokio::test]
async fn text_that_the_database_cannot_hold_parks_its_stream_only() {
    let world = World::new().await;
    let (bad, good) = (order_id(1), order_id(2));
    let OrderEvent::Placed(mut event) = placed(bad, None, vec![line("mug", 1, 250)]) else { unreachable!() };
    event.origin = order::Origin::Imported {
        source: "file".to_owned(),
        reference: "zero \0 byte".to_owned(),
        country: None,
    };
    world.order(bad, &OrderEvent::Placed(event), minute(0)).await;
    world.order(good, &placed(good, None, vec![line("mug", 1, 250)]), minute(0)).await;
    world.catch_up(Orders).await;
    let mut db = world.projector().await;
    let there: Vec<uuid::Uuid> =
        sqlx::query_scalar("select order_id from read.orders").fetch_all(&mut db).await.unwrap();
    assert_eq!(there, [good.0]);
    let parked: String =
        sqlx::query_scalar("select stream from projections.parked_streams").fetch_one(&mut db).await.unwrap();
    assert_eq!(parked, Category::Order.stream(bad).as_str());
}

#[tokio::test]
async fn a_runner_that_is_stopped_at_any_moment_loses_and_doubles_nothing() {
    let world = World::new().await;
    for round in 0..20_u64 {
        let runner = world.run(Sales, "runner");
        for number in 0..10 {
            world.paid_order(u128::from(round * 10 + number), minute(0)).await;
        }
        // Somewhere in the middle of whatever it does.
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        runner.abort().await;
    }
    world.catch_up(Sales).await;
    let sold: (i64, i64) = sqlx::query_as("select orders, amount from read.sales_days")
        .fetch_one(&mut world.reader().await)
        .await
        .unwrap();
    assert_eq!(sold, (200, 200 * 1500));
}

#[tokio::test]
async fn readers_cannot_write_and_see_nothing_but_the_views() {
    let world = World::new().await;
    world.paid_order(1, minute(0)).await;
    world.catch_up(Orders).await;
    let mut reader = world.reader().await;
    for refused in [
        "delete from read.orders",
        "update read.orders set total = 0",
        "select * from orders_v1.orders",
        "select * from projections.versions",
    ] {
        let error = sqlx::query(refused).execute(&mut reader).await.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert!(["42501", "25006", "55000"].contains(&code.as_str()), "{refused}: {error}");
    }
}

#[tokio::test]
async fn outages_of_the_log_are_survived_without_gap_or_double() {
    let world = World::new().await;
    let runner = world.run(Sales, "runner");
    for number in 0..50 {
        if number == 10 {
            // Every third read fails from here on.
            world.store.set_faults(FaultPlan::seeded(7, 333));
        }
        if number == 40 {
            world.store.set_faults(FaultPlan::none());
        }
        let order = order_id(number);
        let stream = Category::Order.stream(order);
        world.append_until_written(&stream, &placed(order, None, vec![line("mug", 1, 250)])).await;
        world.append_until_written(&stream, &confirmed(order, 250)).await;
    }
    world.reached("sales", Position::from_column(100).unwrap()).await;
    runner.stop().await;
    let sold: (i64, i64) = sqlx::query_as("select orders, amount from read.sales_days")
        .fetch_one(&mut world.reader().await)
        .await
        .unwrap();
    assert_eq!(sold, (50, 50 * 250));
}

#[tokio::test]
async fn who_waits_for_a_position_is_woken_up_and_need_not_look() {
    let world = World::new().await;
    let runner = world.run(Orders, "runner");
    world.reached("orders", Position::START).await;
    let pool = sqlx::PgPool::connect_lazy_with(world.databases.reader.clone());
    let positions = Positions::start(pool, CancellationToken::new());
    for number in 1.. {
        // Until the listener is there nothing wakes us up; after that, one order is enough.
        world.paid_order(number, minute(0)).await;
        let moved = positions.moved("orders", Position::START, Duration::from_millis(200)).await;
        if moved.is_some() {
            break;
        }
        assert!(number < 100, "no notification ever arrived");
    }
    let before = world.store.head().await.unwrap();
    let waiting = positions.moved("orders", before, Duration::from_mins(10));
    let (moved, _) =
        tokio::join!(within("the waiting one is woken up", waiting), world.paid_order(1_000, minute(0)));
    assert!(moved.unwrap() > before);
    runner.stop().await;
}

#[tokio::test]
async fn retrying_looks_only_at_events_that_the_read_model_wants() {
    let world = World::new().await;
    let orphan = order_id(1);
    world.order(orphan, &confirmed(orphan, 250), minute(0)).await;
    // No business of the sales: of a version that nobody knows.
    world.append_raw(&Category::Order.stream(orphan), "OrderCompleted", 99, "{}", minute(1)).await;
    world.catch_up(Sales).await;
    let mut db = world.projector().await;
    sqlx::query(
        "insert into sales_v1.sold_orders (order_id, currency, units, amount) values ($1, 'GBP', 1, 250)",
    )
    .bind(orphan.0)
    .execute(&mut db)
    .await
    .unwrap();
    let retried = projections::retry(&Sales, None, &*world.store, &world.databases.projector).await.unwrap();
    assert_eq!((retried[0].applied, retried[0].parked_again), (1, false));
}
