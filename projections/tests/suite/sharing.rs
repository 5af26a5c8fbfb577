//! Several processes that keep read models: each has its share, and what one leaves another takes over.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use event_store::EventStore;
use events::Category;
use projections::{ApplyError, Definition, Fact, Projector, orders::Orders};
use sqlx::PgConnection;

use crate::{
    history::*,
    world::{World, eventually, minute},
};

/// How many read models each process holds.
async fn held(world: &World) -> BTreeMap<String, i64> {
    let sql = "select holder, count(*) from projections.versions
                where state = 'live' and holder is not null group by holder";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&mut world.projector().await).await.unwrap();
    rows.into_iter().collect()
}

async fn shared_out(world: &World, expected: &[(&str, i64)]) {
    let expected: BTreeMap<String, i64> =
        expected.iter().map(|(holder, count)| ((*holder).to_owned(), *count)).collect();
    eventually(&format!("the read models are held like {expected:?}"), async || {
        held(world).await == expected
    })
    .await;
}

/// The orders as the next release keeps them: by another definition.
struct NextOrders(&'static Definition);

impl NextOrders {
    fn new() -> Self {
        let now = Orders.definition();
        let next = Definition {
            name: now.name,
            version: now.version + 1,
            categories: now.categories,
            names: now.names,
            tables: now.tables,
            create: now.create,
            indexes: now.indexes,
            views: now.views,
            kept_whole: now.kept_whole,
        };
        Self(Box::leak(Box::new(next)))
    }
}

#[async_trait]
impl Projector for NextOrders {
    fn definition(&self) -> &'static Definition {
        self.0
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        Orders.apply(facts, db).await
    }
}

/// All projections, of which the next release has changed the orders.
fn of_the_next_release() -> Vec<Arc<dyn Projector>> {
    let all = projections::all().into_iter();
    all.map(|projection| match projection.definition().name {
        "orders" => Arc::new(NextOrders::new()) as Arc<dyn Projector>,
        _ => projection,
    })
    .collect()
}

#[tokio::test]
async fn each_process_has_its_share_and_those_that_are_left_have_that_of_one_that_goes() {
    let world = World::new().await;
    let first = world.process(projections::all(), "first");
    shared_out(&world, &[("first", 7)]).await;
    let second = world.process(projections::all(), "second");
    shared_out(&world, &[("first", 4), ("second", 3)]).await;
    let third = world.process(projections::all(), "third");
    shared_out(&world, &[("first", 3), ("second", 2), ("third", 2)]).await;
    world.paid_order(1, minute(0)).await;

    // One that dies is missed at once, because its session is gone with it.
    let died = Instant::now();
    first.abort().await;
    shared_out(&world, &[("second", 4), ("third", 3)]).await;
    assert!(died.elapsed() < Duration::from_secs(4), "{:?}", died.elapsed());
    // One that stops has said so.
    second.stop().await;
    shared_out(&world, &[("third", 7)]).await;
    world.paid_order(2, minute(1)).await;
    let head = world.store.head().await.unwrap();
    for projection in projections::all() {
        world.reached(projection.definition().name, head).await;
        assert_eq!(world.verify(projection).await.differences, []);
    }
    third.stop().await;
    // Whoever had the time to say so has left; the row of the one that died goes when somebody comes.
    let left: i64 = sqlx::query_scalar("select count(*) from projections.members where holder <> 'first'")
        .fetch_one(&mut world.projector().await)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_process_that_is_silent_for_too_long_is_counted_no_more() {
    let world = World::new().await;
    let mut db = world.projector().await;
    let first = world.process(projections::all(), "first");
    shared_out(&world, &[("first", 7)]).await;
    // A process whose session is there, but which says nothing more: it is stopped.
    sqlx::query(
        "insert into projections.members
         select 'silent', projection, definition, clock_timestamp() + interval '2 s',
                pg_backend_pid(), (select backend_start from pg_stat_activity where pid = pg_backend_pid())
           from projections.members",
    )
    .execute(&mut db)
    .await
    .unwrap();
    eventually("a part is left to it", async || held(&world).await["first"] == 4).await;
    shared_out(&world, &[("first", 7)]).await;
    first.stop().await;
}

#[tokio::test]
async fn a_read_model_that_the_next_release_has_replaced_is_kept_by_a_process_of_that_release() {
    let world = World::new().await;
    for number in 0..20 {
        world.paid_order(number, minute(0)).await;
    }
    // One after the other: of two that begin together either may get the larger share, and keeps it.
    let first = world.process(projections::all(), "a");
    shared_out(&world, &[("a", 7)]).await;
    let old = [first, world.process(projections::all(), "b")];
    shared_out(&world, &[("a", 4), ("b", 3)]).await;
    let new = world.process(of_the_next_release(), "c");
    let mut db = world.projector().await;
    let keeper = "select holder from projections.versions
                   where projection = 'orders' and state = 'live' and definition = 3";
    eventually("the next release keeps the orders", async || {
        let holder: Option<Option<String>> =
            sqlx::query_scalar(keeper).fetch_optional(&mut db).await.unwrap();
        holder.flatten().as_deref() == Some("c")
    })
    .await;
    // None is without a process, although two of three cannot keep one of them.
    eventually("the others are shared out as before", async || {
        let mut counts: Vec<i64> = held(&world).await.into_values().collect();
        counts.sort_unstable();
        counts == [2, 2, 3]
    })
    .await;
    world.paid_order(100, minute(1)).await;
    let head = world.store.head().await.unwrap();
    for projection in of_the_next_release() {
        world.reached(projection.definition().name, head).await;
    }
    for process in old {
        process.stop().await;
    }
    shared_out(&world, &[("c", 7)]).await;
    new.stop().await;
}

/// What is said of the orders.
async fn status_of_orders(world: &World) -> projections::ProjectionStatus {
    let all = projections::all();
    let status = projections::status(&all, &*world.store, &world.databases.projector).await.unwrap();
    status.into_iter().find(|status| status.name == "orders").unwrap()
}

#[tokio::test]
async fn what_only_a_newer_release_can_read_is_waited_for_and_parks_nothing() {
    let world = World::new().await;
    platform::releases::announce(&world.databases.service, [("OrderConfirmed", 99)]).await.unwrap();
    for number in 0..5 {
        world.paid_order(number, minute(0)).await;
    }
    let (before, order) = (world.store.head().await.unwrap(), order_id(4));
    let newer = world.append_raw(&Category::Order.stream(order), "OrderConfirmed", 99, "{}", minute(1)).await;
    world.paid_order(100, minute(2)).await;
    let process = world.process(projections::all(), "old");

    // It comes as far as it can, says so, and leaves the lease to others; what is not concerned goes on.
    let stood_back = async || !status_of_orders(&world).await.standing_back.is_empty();
    eventually("it stands back", stood_back).await;
    world.reached("stock", world.store.head().await.unwrap()).await;
    let orders = status_of_orders(&world).await;
    assert_eq!((orders.holder, orders.parked.len()), (None, 0));
    let mut db = world.projector().await;
    let read: i64 = sqlx::query_scalar("select count(*) from read.orders").fetch_one(&mut db).await.unwrap();
    assert_eq!(read, 5);
    assert!(orders.checkpoint <= before, "{}", orders.checkpoint);
    let met = &orders.standing_back[0];
    assert_eq!((met.holder.as_str(), met.event.as_str()), ("old", "OrderConfirmed version 99"));
    assert_eq!(met.position, newer.to_column().unwrap());

    // A process of the newer release has gone on there, and has left again.
    sqlx::query("update orders_v1.checkpoint set position = $1")
        .bind(met.position)
        .execute(&mut db)
        .await
        .unwrap();
    world.reached("orders", world.store.head().await.unwrap()).await;
    assert_eq!(status_of_orders(&world).await.holder.as_deref(), Some("old"));
    process.stop().await;
}
