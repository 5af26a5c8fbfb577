//! Who is there, and who has which partitions. **A lease is taken with a number that nobody had before**, and
//! only when it is free by the clock of the database.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::{columns, partition, unavailable};
use crate::coordinator::{
    partition::{PARTITIONS, Partition, fair_share},
    state::{Lease, StateError},
};

/// Who holds the one lease that releases before partitions know.
const ALL_OF_US: &str = "shared out in partitions";

/// Whoever knows partitions holds the lease that older releases ask for. One of those that has it is deposed:
/// it may not save any more, and what it has saved is where the partitions begin.
pub(super) async fn keep_older_releases_out(db: &mut PgConnection, ttl: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into sagas.lease as held (name, holder, fence, runs_out_at)
         values ('coordinator', $1, 1, clock_timestamp() + $2)
         on conflict (name) do update
            set holder = excluded.holder, runs_out_at = excluded.runs_out_at,
                fence = held.fence + (held.holder <> excluded.holder)::int",
    )
    .bind(ALL_OF_US)
    .bind(ttl)
    .execute(db)
    .await?;
    Ok(())
}

/// Counts this process among those that are there, and answers its share.
pub(super) async fn join(db: &mut PgConnection, holder: &str, ttl: Duration) -> Result<usize, StateError> {
    let failed = unavailable("joining the others");
    sqlx::query(
        "insert into sagas.member (holder, seen_until) values ($1, clock_timestamp() + $2)
         on conflict (holder) do update set seen_until = excluded.seen_until",
    )
    .bind(holder)
    .bind(ttl)
    .execute(&mut *db)
    .await
    .map_err(&failed)?;
    // Not those that are coming back just now: each would wait for the other.
    sqlx::query(
        "delete from sagas.member where holder in (
            select holder from sagas.member where seen_until <= clock_timestamp() for update skip locked)",
    )
    .execute(&mut *db)
    .await
    .map_err(&failed)?;
    // Those that have met an event of a newer release count only when all have.
    let (partitions, members, before, gives_way): (i64, i64, i64, bool) = sqlx::query_as(
        "with here as (
            select holder, not stands_back or bool_and(stands_back) over () as counts
              from sagas.member where holder = $1 or seen_until > clock_timestamp())
         select (select count(*) from sagas.partition), count(*) filter (where counts),
                count(*) filter (where counts and holder < $1),
                coalesce(bool_or(holder = $1 and not counts), false)
           from here",
    )
    .bind(holder)
    .fetch_one(&mut *db)
    .await
    .map_err(&failed)?;
    if partitions == 0 {
        sqlx::query("insert into sagas.partition (number) select generate_series(0, $1 - 1)")
            .bind(i32::from(PARTITIONS))
            .execute(db)
            .await
            .map_err(&failed)?;
    } else if partitions != i64::from(PARTITIONS) {
        let reason = format!("it is kept in {partitions} partitions, and this release has {PARTITIONS}");
        return Err(StateError::Corrupt { reason });
    }
    if gives_way {
        return Ok(0);
    }
    Ok(fair_share(
        usize::try_from(members).unwrap_or(usize::MAX),
        usize::try_from(before).unwrap_or(usize::MAX),
    ))
}

/// Takes so many partitions that are free; first those that a holder of this name had.
pub(super) async fn take(
    db: &mut PgConnection,
    holder: &str,
    ttl: Duration,
    holds: &[Partition],
    missing: usize,
) -> Result<Vec<Lease>, StateError> {
    let held: Vec<i16> = holds.iter().map(|partition| partition.to_column()).collect();
    // What is locked is being renewed or taken just now.
    let taken: Vec<(i16, i64)> = sqlx::query_as(
        "with free as (
            select number from sagas.partition
             where (holder is null or holder = $1 or runs_out_at <= clock_timestamp())
               and number <> all($3)
             order by holder = $1 desc nulls last, number
             limit $4 for update skip locked)
         update sagas.partition as taken
            set holder = $1, fence = nextval('sagas.fence'), runs_out_at = clock_timestamp() + $2
           from free where taken.number = free.number
         returning taken.number, taken.fence",
    )
    .bind(holder)
    .bind(ttl)
    .bind(held)
    .bind(i64::try_from(missing).unwrap_or(i64::MAX))
    .fetch_all(db)
    .await
    .map_err(unavailable("taking partitions"))?;
    taken.into_iter().map(|(number, fence)| Ok(Lease { partition: partition(number)?, fence })).collect()
}

/// Gives these back, as far as they are still held.
pub(super) async fn release(pool: &PgPool, leases: &[Lease]) -> Result<(), sqlx::Error> {
    let (numbers, fences) = columns(leases);
    sqlx::query(
        "update sagas.partition as held set holder = null, runs_out_at = null
           from unnest($1::smallint[], $2::bigint[]) as given (number, fence)
          where held.number = given.number and held.fence = given.fence",
    )
    .bind(numbers)
    .bind(fences)
    .execute(pool)
    .await?;
    Ok(())
}

/// Leaves the share of this process to those that have met no event of a newer release.
pub(super) async fn stand_back(pool: &PgPool, holder: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update sagas.member set stands_back = true where holder = $1")
        .bind(holder)
        .execute(pool)
        .await?;
    Ok(())
}

/// Counts this process no more.
pub(super) async fn leave(pool: &PgPool, holder: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from sagas.member where holder = $1").bind(holder).execute(pool).await?;
    Ok(())
}
