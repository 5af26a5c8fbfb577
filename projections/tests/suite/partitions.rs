//! A read model that is split into partitions: the same rows as a whole one, a position that is the least
//! of all, and a writer for each.

mod parked;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use event_store::{EventStore, Position};
use projections::{
    Error, Positions, Projector, RebuildOptions, Rebuilt, attention::Attention, feed::Feed, orders::Orders,
    sales::Sales,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::world::{World, eventually, minute, within};

fn split_into(partitions: u8) -> RebuildOptions {
    RebuildOptions { partitions: Some(partitions), ..RebuildOptions::default() }
}

fn only(projection: impl Projector) -> Vec<Arc<dyn Projector>> {
    vec![Arc::new(projection)]
}

/// Those that can be split.
fn splittable() -> Vec<Arc<dyn Projector>> {
    let mut all = projections::all();
    all.retain(|projection| projection.definition().kept_whole.is_none());
    all
}

impl World {
    async fn split(&self, projection: Arc<dyn Projector>, partitions: u8) -> Result<Rebuilt, Error> {
        let (store, projector) = (self.store.clone(), self.databases.projector.clone());
        let (report, shutdown) = (Arc::new(|_| ()), CancellationToken::new());
        let options = split_into(partitions);
        projections::rebuild(projection, store, projector, &options, report, shutdown).await
    }

    /// How many partitions of a read model each process holds.
    async fn shares(&self, name: &str) -> BTreeMap<String, usize> {
        let all = projections::all();
        let status = projections::status(&all, &*self.store, &self.databases.projector).await.unwrap();
        let status = status.into_iter().find(|status| status.name == name).unwrap();
        let mut shares = BTreeMap::new();
        for holder in status.partitions.into_iter().filter_map(|partition| partition.holder) {
            *shares.entry(holder).or_default() += 1;
        }
        shares
    }

    async fn shared_out(&self, name: &str, expected: &[(&str, usize)]) {
        let expected = expected.iter().map(|(holder, count)| ((*holder).to_owned(), *count)).collect();
        eventually(&format!("{name} is shared out like {expected:?}"), async || {
            self.shares(name).await == expected
        })
        .await;
    }

    /// Gives a partition to a process that has a session (this one) and does nothing: one that is stopped.
    async fn stop_partition(&self, partition: i16, db: &mut PgConnection) {
        let sql = "update projections.partitions
             set holder = 'stopped', token = nextval('projections.fencing_tokens'), lease_until = 'infinity',
                 session_pid = pg_backend_pid(),
                 session_start = (select backend_start from pg_stat_activity where pid = pg_backend_pid())
             where partition = $1";
        sqlx::query(sql).bind(partition).execute(db).await.unwrap();
    }

    /// Lets somebody else have it.
    async fn free_partition(&self, partition: i16, db: &mut PgConnection) {
        sqlx::query("update projections.partitions set holder = null where partition = $1")
            .bind(partition)
            .execute(db)
            .await
            .unwrap();
    }

    /// Where each partition of a version is.
    async fn checkpoints(&self, schema: &str) -> Vec<i64> {
        let sql = format!("select position from {schema}.checkpoint order by -shard");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.projector().await).await.unwrap()
    }

    /// Waits until all partitions but one are at the end of the log.
    async fn all_but_one_reached_the_end(&self, schema: &str) {
        let head = self.store.head().await.unwrap().to_column().unwrap();
        eventually(&format!("all partitions of {schema} but one are at {head}"), async || {
            let checkpoints = self.checkpoints(schema).await;
            checkpoints.iter().filter(|at| **at < head).count() == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_split_read_model_has_the_rows_of_one_that_is_built_whole_whatever_the_history() {
    for (seed, partitions, events_max) in [(0, 2, 1), (1, 4, 3), (2, 7, 12), (3, 16, 60), (4, 3, 5)] {
        let world = World::new().await;
        for projection in splittable() {
            world.split(projection, partitions).await.unwrap();
        }
        // Two processes, which share the partitions.
        let running =
            ["one", "two"].map(|holder| world.process_in_pieces(splittable(), holder, events_max, seed));
        world.busy_day(seed, 0..60).await;
        let head = world.store.head().await.unwrap();
        for projection in splittable() {
            let name = projection.definition().name;
            world.reached(name, head).await;
            let verified = world.verify(projection).await;
            assert_eq!(verified.differences, [], "{name} in {partitions}, seed {seed}");
            assert_eq!(verified.position, head);
            assert!(verified.rows > 0, "{name} has rows");
        }
        for running in running {
            running.stop().await;
        }
    }
}

#[tokio::test]
async fn the_position_is_that_of_the_slowest_partition_and_who_waits_is_told_when_it_passes() {
    let world = World::new().await;
    world.split(Arc::new(Orders), 4).await.unwrap();
    let mut stopped = world.projector().await;
    world.stop_partition(2, &mut stopped).await;
    let process = world.process(only(Orders), "process");
    let pool = sqlx::PgPool::connect_lazy_with(world.databases.reader.clone());
    let positions = Positions::start(pool, CancellationToken::new());
    for number in 0..40 {
        world.paid_order(number, minute(0)).await;
    }
    world.all_but_one_reached_the_end("orders_v2").await;

    let head = world.store.head().await.unwrap();
    let mut reader = world.reader().await;
    assert_eq!(world.position("orders", &mut reader).await, Some(0));
    let rows: i64 =
        sqlx::query_scalar("select count(*) from read.orders").fetch_one(&mut reader).await.unwrap();
    assert!((20..40).contains(&rows), "{rows}");
    let waited = positions.wait_for("orders", head, tokio::time::Instant::now()).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!(positions.moved("orders", Position::START, Duration::from_millis(300)).await, None);

    world.free_partition(2, &mut stopped).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    assert_eq!(positions.wait_for("orders", head, deadline).await.unwrap(), head);
    // Told, and not found by looking.
    let waiting = positions.moved("orders", head, Duration::from_mins(10));
    let (moved, _) =
        tokio::join!(within("the waiting one is woken", waiting), world.paid_order(99, minute(1)));
    assert!(moved.unwrap() > head);
    process.stop().await;
}

#[tokio::test]
async fn a_version_whose_partitions_are_apart_is_compared_exactly_and_goes_on_meanwhile() {
    let world = World::new().await;
    world.busy_day(7, 0..30).await;
    world.split(Arc::new(Sales), 3).await.unwrap();
    let (mut stopped, mut db) = (world.projector().await, world.projector().await);
    world.stop_partition(3, &mut stopped).await;
    let process = world.process(only(Sales), "process");
    for number in 1_000..1_060 {
        world.paid_order(number, minute(i64::try_from(number).unwrap() * 60)).await;
    }
    world.all_but_one_reached_the_end("sales_v2").await;
    let slowest = world.position("sales", &mut db).await;
    let verified = world.verify(Arc::new(Sales)).await;
    assert_eq!((verified.differences, verified.position.to_column().ok()), (vec![], slowest));

    // What is wrong with rows of a partition that is ahead is found, too.
    sqlx::raw_sql(
        "update sales_v2.sold_orders set amount = amount + 1
         where order_id = (select order_id from sales_v2.sold_orders order by order_id desc limit 1)",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let found = world.verify(Arc::new(Sales)).await.differences;
    assert_eq!(found.iter().map(|row| row.table).collect::<Vec<_>>(), ["sold_orders"]);

    // A new version is not switched to, and is accepted later, from where it was compared.
    let refused = world.split(Arc::new(Sales), 2).await;
    assert!(
        matches!(&refused, Err(Error::Differs { differences, .. }) if differences.len() == 1),
        "{refused:?}"
    );
    world.free_partition(3, &mut stopped).await;
    let options = RebuildOptions { accept_differences: true, ..split_into(2) };
    let rebuilt = world.rebuild(Sales, &options).await.unwrap();
    assert_eq!(rebuilt.differences.len(), 1);
    world.reached("sales", world.store.head().await.unwrap()).await;
    assert_eq!(world.verify(Arc::new(Sales)).await.differences, []);
    process.stop().await;
}

/// Reads as the query API does, checking that neither position nor rows ever go back.
async fn read_until(world: Arc<World>, done: Arc<AtomicBool>) -> u64 {
    let mut reader = world.reader().await;
    let (mut reads, mut last) = (0, (0, 0));
    while !done.load(Ordering::SeqCst) {
        let mut tx = reader.begin_with(projections::snapshot_of("sales")).await.unwrap();
        let (position, sold): (i64, i64) = sqlx::query_as(
            "select position, (select coalesce(sum(orders), 0)::bigint from read.sales_days)
             from read.sales_position",
        )
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        tx.rollback().await.unwrap();
        assert!(position >= last.0 && sold >= last.1, "{:?} after {last:?}", (position, sold));
        last = (position, sold);
        reads += 1;
    }
    reads
}

#[tokio::test]
async fn a_read_model_is_split_and_joined_and_gone_back_to_under_load_and_nobody_sees_it_go_back() {
    let world = Arc::new(World::new().await);
    world.busy_day(1, 0..100).await;
    let processes = ["one", "two"].map(|holder| world.process(only(Sales), holder));
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
                let day = i64::try_from(number % 5).unwrap() * 60 * 24;
                world.paid_order(number, minute(day)).await;
                // At the pace of a shop: a log in memory takes more than any database.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let all_go_on = async |partitions: usize| {
        world.reached("sales", world.store.head().await.unwrap()).await;
        let held = world.shares("sales").await.into_values().sum::<usize>();
        assert_eq!(held, if partitions > 1 { partitions } else { 0 });
    };
    for (partitions, version) in [(4, 2), (1, 3), (4, 4), (3, 5)] {
        let rebuilt = within("the rebuild ends", world.split(Arc::new(Sales), partitions)).await.unwrap();
        assert_eq!((rebuilt.version, rebuilt.differences), (version, Vec::new()), "{partitions}");
        assert!(rebuilt.compared_at.is_some() && rebuilt.rows > 0);
        all_go_on(usize::from(partitions)).await;
    }
    // Without a word the next version has as many as the one before.
    let rebuilt = world.rebuild(Sales, &RebuildOptions::default()).await.unwrap();
    assert_eq!((rebuilt.version, rebuilt.differences), (6, Vec::new()));
    all_go_on(3).await;
    let rebuilt = world.split(Arc::new(Sales), 1).await.unwrap();
    assert_eq!(rebuilt.version, 7);
    for (version, partitions) in [(6, 3), (7, 1), (6, 3)] {
        let (store, projector) = (world.store.clone(), world.databases.projector.clone());
        let back = projections::roll_back(Arc::new(Sales), store, projector, "operator").await.unwrap();
        assert_eq!(back.version, version);
        all_go_on(partitions).await;
    }
    done.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    assert!(reading.await.unwrap() > 0);
    world.reached("sales", world.store.head().await.unwrap()).await;
    assert_eq!(world.verify(Arc::new(Sales)).await.differences, []);
    for process in processes {
        process.stop().await;
    }
}

#[tokio::test]
async fn processes_share_partitions_and_what_one_leaves_another_takes_over() {
    let world = World::new().await;
    world.split(Arc::new(Orders), 4).await.unwrap();
    let first = world.process(only(Orders), "first");
    world.shared_out("orders", &[("first", 4)]).await;
    let second = world.process(only(Orders), "second");
    world.shared_out("orders", &[("first", 2), ("second", 2)]).await;
    for number in 0..20 {
        world.paid_order(number, minute(0)).await;
    }
    let died = Instant::now();
    first.abort().await;
    world.shared_out("orders", &[("second", 4)]).await;
    assert!(died.elapsed() < Duration::from_secs(4), "{:?}", died.elapsed());
    for number in 20..40 {
        world.paid_order(number, minute(1)).await;
    }
    world.reached("orders", world.store.head().await.unwrap()).await;
    assert_eq!(world.verify(Arc::new(Orders)).await.differences, []);
    second.stop().await;
}

#[tokio::test]
async fn a_partition_is_not_given_to_a_release_that_knows_none_which_leaves_the_split_version_alone() {
    let world = World::new().await;
    world.split(Arc::new(Orders), 2).await.unwrap();
    let mut db = world.projector().await;
    // A member as the release before this one writes it down.
    sqlx::query(
        "insert into projections.members (holder, projection, definition, seen_until, session_pid, session_start)
         select 'older', 'orders', $1, 'infinity', pid, backend_start from pg_stat_activity
         where pid = pg_backend_pid()",
    )
    .bind(Orders.definition().version)
    .execute(&mut db)
    .await
    .unwrap();
    let process = world.process(only(Orders), "newer");
    world.shared_out("orders", &[("newer", 2)]).await;
    world.paid_order(1, minute(0)).await;
    world.reached("orders", world.store.head().await.unwrap()).await;

    // What that release asks before it writes, and what it would have to find: it keeps a version of its own
    // definition, replaces one of a lower, and leaves one of a higher alone; a retry, a promotion and a
    // comparison begin with the checkpoint in shard 0.
    let definition: i32 = sqlx::query_scalar(
        "select definition from projections.versions where projection = 'orders' and state = 'live'",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert!(definition > Orders.definition().version, "{definition}");
    let shard: Option<i64> = sqlx::query_scalar("select position from orders_v2.checkpoint where shard = 0")
        .fetch_optional(&mut db)
        .await
        .unwrap();
    assert_eq!(shard, None);
    process.stop().await;
}

#[tokio::test]
async fn what_is_read_in_the_order_of_the_log_is_not_split() {
    let world = World::new().await;
    for projection in [Arc::new(Feed) as Arc<dyn Projector>, Arc::new(Attention)] {
        let name = projection.definition().name;
        let refused = world.split(projection.clone(), 2).await.unwrap_err();
        assert!(matches!(refused, Error::KeptWhole { .. }), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains(name) && said.contains("in the order of the log"), "{said}");
        world.split(projection, 1).await.unwrap();
    }
}
