//! Rebuilding several read models at the same time: in one reading of the log, and each for itself otherwise.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use event_store::{
    EventStore,
    memory::{Fault, FaultPlan, Operation},
};
use futures::StreamExt;
use projections::{Error, Progress, RebuildOptions, Rebuilt, Report, Stage, orders::Orders};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::world::{World, eventually};

/// How many events a rebuild reads at a time.
const PAGE: usize = 4_000;

type Outcomes = BTreeMap<&'static str, Result<Rebuilt, Error>>;

/// A log of more than one page, and every read model of it.
async fn busy_world(seed: u64) -> World {
    let world = World::new().await;
    world.busy_day(seed, 0..900).await;
    assert!(world.store.events_written() > PAGE, "{} events", world.store.events_written());
    let running = world.process(projections::all(), "catching up");
    for projection in projections::all() {
        world.reached(projection.definition().name, world.store.head().await.unwrap()).await;
    }
    running.stop().await;
    world
}

async fn rebuild_all(world: &World) -> Outcomes {
    rebuild_and_watch(world, &CancellationToken::new(), |_, _| ()).await
}

/// Rebuilds all, and says of each how far it is.
async fn rebuild_and_watch(
    world: &World,
    shutdown: &CancellationToken,
    watch: impl Fn(&'static str, Progress) + Send + Sync + Clone + 'static,
) -> Outcomes {
    let all = projections::all().into_iter().map(|projection| {
        let (name, watch) = (projection.definition().name, watch.clone());
        let report: Report = Arc::new(move |progress| watch(name, progress));
        (projection, report)
    });
    let store: Arc<dyn EventStore> = world.store.clone();
    let options = RebuildOptions { workers: 1, ..RebuildOptions::default() };
    projections::rebuild_all(all.collect(), &store, &world.databases.projector, &options, shutdown)
        .collect()
        .await
}

/// Fails unless every read model was built again, and came out as it was.
fn all_are_the_same_again(outcomes: &Outcomes) {
    assert_eq!(outcomes.len(), projections::all().len());
    for (name, outcome) in outcomes {
        let rebuilt = outcome.as_ref().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(rebuilt.rows > 0 || *name == "attention", "{name} has rows");
        assert_eq!((rebuilt.version > 1, &*rebuilt.differences), (true, &[][..]), "{name}");
    }
}

#[tokio::test]
async fn all_read_models_are_rebuilt_in_one_reading_of_the_log() {
    let world = busy_world(7).await;
    let pages = world.store.events_written().div_ceil(PAGE) as u64;
    world.store.set_faults(FaultPlan::none().at(Operation::Read, pages + 1, Fault::Before));
    all_are_the_same_again(&rebuild_all(&world).await);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_stops_all_of_them_and_they_go_on_where_they_were() {
    let world = busy_world(8).await;
    world.store.set_faults(FaultPlan::none().at(Operation::Read, 2, Fault::Before));
    for (name, outcome) in rebuild_all(&world).await {
        assert!(matches!(outcome, Err(Error::Store(_))), "{name}: {outcome:?}");
    }
    // What the first page said is written already.
    let pages = world.store.events_written().div_ceil(PAGE) as u64;
    world.store.set_faults(FaultPlan::none().at(Operation::Read, pages, Fault::Before));
    all_are_the_same_again(&rebuild_all(&world).await);
}

#[tokio::test]
async fn one_that_cannot_be_rebuilt_keeps_no_other_from_it() {
    let world = busy_world(9).await;
    let mut db = world.projector().await;
    // Of one the schema is there already, one loses its sessions at work, and one differs at the end.
    sqlx::raw_sql(
        "create schema payments_v2;
         update sales_v1.sales_days set amount = amount + 1;",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let (at_work, mut is_at_work) = watch::channel(false);
    let cutting = tokio::spawn(async move {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name like '% projection feed'";
        is_at_work.wait_for(|at_work| *at_work).await.unwrap();
        sqlx::query(sql).execute(&mut db).await.unwrap();
    });
    let mut outcomes = rebuild_and_watch(&world, &CancellationToken::new(), move |name, progress| {
        if name == "feed" && progress.stage == Stage::Filling {
            at_work.send_replace(true);
        }
    })
    .await;
    cutting.await.unwrap();
    let mut failed = |name: &str| outcomes.remove(name).unwrap().unwrap_err();
    let (payments, feed, sales) = (failed("payments"), failed("feed"), failed("sales"));
    assert!(matches!(payments, Error::Database(_)), "{payments:?}");
    assert!(matches!(feed, Error::Database(_) | Error::Apply { .. }), "{feed:?}");
    assert!(matches!(sales, Error::Differs { .. }), "{sales:?}");
    for (name, outcome) in outcomes {
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_rebuild_of_all_that_is_killed_goes_on_where_each_of_them_was() {
    let world = busy_world(10).await;
    let alone = RebuildOptions { workers: 3, ..RebuildOptions::default() };
    for pause_ms in [5, 20, 50, 100, 200, 400] {
        // One of them is further than the others.
        let _ = tokio::time::timeout(Duration::from_millis(pause_ms), world.rebuild(Orders, &alone)).await;
        let _ = tokio::time::timeout(Duration::from_millis(pause_ms), rebuild_all(&world)).await;
        let mut db = world.projector().await;
        eventually("the sessions of the dead rebuild are gone", async || {
            let sql = "select count(*) from pg_stat_activity
                       where datname = current_database() and application_name like '% projection %'
                           and pid <> pg_backend_pid()";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut db).await.unwrap() == 0
        })
        .await;
    }
    all_are_the_same_again(&rebuild_all(&world).await);
    for projection in projections::all() {
        let name = projection.definition().name;
        assert_eq!(world.verify(projection).await.differences, [], "{name}");
    }
}

#[tokio::test]
async fn whoever_is_told_to_stop_leaves_every_read_model_as_it_was() {
    let world = busy_world(11).await;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let outcomes = rebuild_and_watch(&world, &shutdown, move |name, progress| {
        if name == "stock" && progress.stage == Stage::Indexing {
            stop.cancel();
        }
    })
    .await;
    assert!(matches!(outcomes["stock"], Err(Error::Interrupted)), "{outcomes:?}");
    let done = outcomes.values().filter(|outcome| outcome.is_ok()).count();
    let interrupted = outcomes.values().filter(|it| matches!(it, Err(Error::Interrupted))).count();
    assert_eq!(done + interrupted, outcomes.len(), "{outcomes:?}");
    let mut db = world.projector().await;
    let sql = "select version from projections.versions where projection = 'stock' and state = 'live'";
    assert_eq!(sqlx::query_scalar::<_, i32>(sql).fetch_one(&mut db).await.unwrap(), 1);
}
