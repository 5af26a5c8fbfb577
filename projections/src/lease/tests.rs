#![allow(clippy::unwrap_used, clippy::expect_used)]
use event_store::Position;
use platform::postgres::testing;
use sqlx::ConnectOptions;

use super::*;
use crate::{
    Projector,
    batch::{self, Batch, Poison},
    checkpoints, database, sales, versions,
};

fn at(column: i64) -> Position {
    Position::from_column(column).unwrap()
}

/// A stretch of the log without events that the projection wants.
fn batch(after: i64, through: i64) -> Batch {
    Batch { after: at(after), events: Vec::new(), through: at(through) }
}

#[tokio::test]
async fn a_holder_that_was_silent_for_too_long_is_refused_with_all_that_it_would_write() {
    let databases = testing::fresh_database().await;
    crate::migrate(&databases.owner).await.unwrap();
    let definition = sales::Sales.definition();
    let mut first_db = databases.projector.connect().await.unwrap();
    let mut second_db = databases.projector.connect().await.unwrap();
    let live = versions::install(definition, &mut first_db).await.unwrap();
    for db in [&mut first_db, &mut second_db] {
        database::enter(&definition.schema(live.version), db).await.unwrap();
    }
    let first =
        Lease::take(definition, live.version, Partition::WHOLE, "first", &mut first_db).await.unwrap();
    batch::write(&sales::Sales, &first, 0, &batch(0, 1), &mut first_db).await.unwrap();

    // As long as the lease lasts nobody else gets it.
    let refused = Lease::take(definition, live.version, Partition::WHOLE, "second", &mut second_db).await;
    assert!(matches!(refused, Err(Error::LeaseHeld { holder, .. }) if holder == "first"));
    sqlx::query("update projections.versions set lease_until = clock_timestamp() - interval '1 ms'")
        .execute(&mut second_db)
        .await
        .unwrap();
    let second =
        Lease::take(definition, live.version, Partition::WHOLE, "second", &mut second_db).await.unwrap();
    assert!(second.token > first.token);

    // The first wakes up, before and after the second has written.
    let late = batch::write(&sales::Sales, &first, 0, &batch(1, 2), &mut first_db).await;
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    assert!(matches!(first.renew(&mut first_db).await, Err(Error::Fenced { .. })));
    assert!(matches!(first.release(&mut first_db).await, Err(Error::Fenced { .. })));
    batch::write(&sales::Sales, &second, 0, &batch(1, 3), &mut second_db).await.unwrap();
    let later = batch::write(&sales::Sales, &first, 0, &batch(3, 4), &mut first_db).await;
    assert!(matches!(later, Err(Error::Fenced { .. })), "{later:?}");
    assert_eq!(checkpoints::of_shard(0, &mut first_db).await.unwrap(), at(3));
}

#[tokio::test]
async fn a_lease_on_a_version_that_was_dropped_is_none_on_the_next_one() {
    let databases = testing::fresh_database().await;
    crate::migrate(&databases.owner).await.unwrap();
    let definition = sales::Sales.definition();
    let mut first_db = databases.projector.connect().await.unwrap();
    let mut second_db = databases.projector.connect().await.unwrap();
    let dropped = versions::create(definition, versions::State::Scratch, 1, 1, &mut first_db).await.unwrap();
    let first = Lease::take(definition, dropped, Partition::WHOLE, "first", &mut first_db).await.unwrap();
    versions::drop_version(definition, dropped, &mut second_db).await.unwrap();

    let next = versions::create(definition, versions::State::Scratch, 1, 1, &mut second_db).await.unwrap();
    let second = Lease::take(definition, next, Partition::WHOLE, "second", &mut second_db).await.unwrap();
    for shard in [0, 1] {
        let late = batch::write(&sales::Sales, &first, shard, &batch(0, 1), &mut first_db).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    }
    assert!(next > dropped && second.token > first.token);
}

#[tokio::test]
async fn a_number_that_another_release_gives_again_comes_with_another_token() {
    let databases = testing::fresh_database().await;
    crate::migrate(&databases.owner).await.unwrap();
    let definition = sales::Sales.definition();
    let mut first_db = databases.projector.connect().await.unwrap();
    let mut second_db = databases.projector.connect().await.unwrap();
    let dropped = versions::create(definition, versions::State::Scratch, 1, 1, &mut first_db).await.unwrap();
    let first = Lease::take(definition, dropped, Partition::WHOLE, "first", &mut first_db).await.unwrap();
    versions::drop_version(definition, dropped, &mut second_db).await.unwrap();

    // As a release did that knew no `version_numbers`.
    sqlx::query("delete from projections.version_numbers").execute(&mut second_db).await.unwrap();
    let again = versions::create(definition, versions::State::Scratch, 1, 1, &mut second_db).await.unwrap();
    assert_eq!(again, dropped);
    Lease::take(definition, again, Partition::WHOLE, "second", &mut second_db).await.unwrap();
    let late = batch::write(&sales::Sales, &first, 1, &batch(0, 1), &mut first_db).await;
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
}

#[tokio::test]
async fn a_checkpoint_that_somebody_moved_is_not_written_over() {
    let databases = testing::fresh_database().await;
    crate::migrate(&databases.owner).await.unwrap();
    let definition = sales::Sales.definition();
    let mut db = databases.projector.connect().await.unwrap();
    let live = versions::install(definition, &mut db).await.unwrap();
    database::enter(&definition.schema(live.version), &mut db).await.unwrap();
    let lease = Lease::take(definition, live.version, Partition::WHOLE, "holder", &mut db).await.unwrap();
    batch::write(&sales::Sales, &lease, 0, &batch(0, 5), &mut db).await.unwrap();
    let again = batch::write(&sales::Sales, &lease, 0, &batch(0, 5), &mut db).await;
    assert!(matches!(again, Err(Error::CheckpointMoved { .. })), "{again:?}");
}
/// A live version of the sales in two partitions, as after a rebuild.
async fn split_version(db: &mut PgConnection) -> i32 {
    let definition = sales::Sales.definition();
    let version = versions::create(definition, versions::State::Building, 1, 2, db).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    checkpoints::join(Position::START, &mut tx).await.unwrap();
    checkpoints::split(2, &mut tx).await.unwrap();
    versions::make_live(definition, version, &mut tx).await.unwrap();
    versions::publish(definition, version, 2, &mut tx).await.unwrap();
    tx.commit().await.unwrap();
    version
}

const FIRST: Partition = Partition { number: 1, of: 2 };
const SECOND: Partition = Partition { number: 2, of: 2 };

#[tokio::test]
async fn a_holder_of_one_partition_is_refused_while_that_of_another_goes_on() {
    let databases = testing::fresh_database().await;
    crate::migrate(&databases.owner).await.unwrap();
    let definition = sales::Sales.definition();
    let mut paused_db = databases.projector.connect().await.unwrap();
    let mut other_db = databases.projector.connect().await.unwrap();
    let mut next_db = databases.projector.connect().await.unwrap();
    let version = split_version(&mut paused_db).await;
    for db in [&mut other_db, &mut next_db] {
        database::enter(&definition.schema(version), db).await.unwrap();
    }
    let paused = Lease::take(definition, version, FIRST, "paused", &mut paused_db).await.unwrap();
    let other = Lease::take(definition, version, SECOND, "other", &mut other_db).await.unwrap();
    batch::write(&sales::Sales, &paused, -1, &batch(0, 1), &mut paused_db).await.unwrap();
    batch::write(&sales::Sales, &other, -2, &batch(0, 1), &mut other_db).await.unwrap();
    let refused = Lease::take(definition, version, FIRST, "next", &mut next_db).await;
    assert!(matches!(refused, Err(Error::LeaseHeld { holder, .. }) if holder == "paused"));

    sqlx::query(
        "update projections.partitions set lease_until = clock_timestamp() - interval '1 ms'
         where partition = 1",
    )
    .execute(&mut next_db)
    .await
    .unwrap();
    let next = Lease::take(definition, version, FIRST, "next", &mut next_db).await.unwrap();
    let late = batch::write(&sales::Sales, &paused, -1, &batch(1, 2), &mut paused_db).await;
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    assert!(matches!(paused.renew(&mut paused_db).await, Err(Error::Fenced { .. })));
    assert!(matches!(paused.release(&mut paused_db).await, Err(Error::Fenced { .. })));
    batch::write(&sales::Sales, &other, -2, &batch(1, 3), &mut other_db).await.unwrap();
    other.renew(&mut other_db).await.unwrap();
    batch::write(&sales::Sales, &next, -1, &batch(1, 2), &mut next_db).await.unwrap();
    assert_eq!(checkpoints::of_shard(-1, &mut next_db).await.unwrap(), at(2));
    assert_eq!(checkpoints::of_shard(-2, &mut next_db).await.unwrap(), at(3));
}

#[tokio::test]
async fn a_lease_on_a_partition_ends_with_the_version_and_does_not_come_back_with_it() {
    let databases = testing::fresh_database().await;
    crate::migrate(&databases.owner).await.unwrap();
    let definition = sales::Sales.definition();
    let mut db = databases.projector.connect().await.unwrap();
    let mut other_db = databases.projector.connect().await.unwrap();
    let version = split_version(&mut db).await;
    let lease = Lease::take(definition, version, FIRST, "paused", &mut db).await.unwrap();
    let next = split_version(&mut other_db).await;
    let late = batch::write(&sales::Sales, &lease, -1, &batch(0, 1), &mut db).await;
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    assert!(matches!(lease.renew(&mut db).await, Err(Error::Fenced { .. })));

    let back = versions::reopen_previous(definition, &mut other_db).await.unwrap();
    assert_eq!(back, version);
    versions::make_live(definition, version, &mut other_db).await.unwrap();
    let late = batch::write(&sales::Sales, &lease, -1, &batch(0, 1), &mut db).await;
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    assert!(next > version);
}

#[tokio::test]
async fn who_waited_for_a_retry_knows_that_the_stream_is_kept_back_no_more() {
    for split in [false, true] {
        let databases = testing::fresh_database().await;
        crate::migrate(&databases.owner).await.unwrap();
        let definition = sales::Sales.definition();
        let mut db = databases.projector.connect().await.unwrap();
        let mut retry_db = databases.projector.connect().await.unwrap();
        let mut watching_db = databases.owner.connect().await.unwrap();
        let (version, partition) = if split {
            (split_version(&mut db).await, FIRST)
        } else {
            (versions::install(definition, &mut db).await.unwrap().version, Partition::WHOLE)
        };
        database::enter(&definition.schema(version), &mut db).await.unwrap();
        let lease = Lease::take(definition, version, partition, "holder", &mut db).await.unwrap();
        sqlx::query(
            "insert into projections.parked_streams
             values ('sales', $1, 'order-1', 0, 1, gen_random_uuid(), 'OrderPlaced', 'a reason', 1)",
        )
        .bind(version)
        .execute(&mut retry_db)
        .await
        .unwrap();

        let mut retry = retry_db.begin().await.unwrap();
        versions::stop_live(definition, &mut retry).await.unwrap().unwrap();
        let checked = tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            batch::pass_over(&lease, partition.shard(), Poison::Undoes, &batch(0, 1), &mut tx).await.unwrap()
        });
        let waits = "select exists (select from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut watching_db).await.unwrap() {}
        sqlx::query("delete from projections.parked_streams").execute(&mut *retry).await.unwrap();
        retry.commit().await.unwrap();
        assert_eq!(checked.await.unwrap(), [""; 0], "split: {split}");
    }
}
