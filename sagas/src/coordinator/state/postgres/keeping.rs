//! What is kept of each partition: how far everything is handled, and what is to be looked at again.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use event_store::Position;
use futures::TryStreamExt;
use platform::fault::planted;
use sqlx::PgConnection;

use super::{columns, misplaced, partition, unavailable};
use crate::coordinator::{
    partition::Partition,
    state::{Changes, Kept, Key, StateError, Wake},
};

/// What was kept of these partitions, without what is to be looked at again.
pub(super) async fn checkpoints(
    db: &mut PgConnection,
    partitions: &[Partition],
) -> Result<Vec<Kept>, StateError> {
    let numbers: Vec<i16> = partitions.iter().map(|partition| partition.to_column()).collect();
    // Where nobody has saved a partition yet, the one coordinator of releases before has handled so much.
    let rows: Vec<(i16, i64)> = sqlx::query_as(
        "select number, coalesce(
                    checkpoint, (select position from sagas.checkpoint where name = 'coordinator'), 0)
           from sagas.partition where number = any($1) order by number",
    )
    .bind(numbers)
    .fetch_all(db)
    .await
    .map_err(unavailable("reading the checkpoints"))?;
    let kept = rows.into_iter().map(|(number, checkpoint)| {
        let checkpoint = Position::from_column(checkpoint).map_err(misplaced)?;
        Ok(Kept { partition: partition(number)?, checkpoint, wakes: Vec::new() })
    });
    kept.collect()
}

/// Adds what is to be looked at again. Which partition a key is in the code says, and no column: rows that
/// were written by releases before partitions are read like all others.
pub(super) async fn add_wakes(db: &mut PgConnection, kept: &mut [Kept]) -> Result<(), StateError> {
    let failed = unavailable("reading what is to be looked at again");
    let mut kept: BTreeMap<Partition, &mut Kept> =
        kept.iter_mut().map(|kept| (kept.partition, kept)).collect();
    let mut rows = sqlx::query_as("select kind, id, due_at, waiting from sagas.wake").fetch(db);
    while let Some(row) = rows.try_next().await.map_err(&failed)? {
        let (kind, id, due_at, waiting): (String, String, DateTime<Utc>, String) = row;
        let corrupt = || StateError::Corrupt { reason: format!("a wake of {kind} {id}") };
        let key = Key::from_parts(&kind, &id).ok_or_else(corrupt)?;
        if let Some(kept) = kept.get_mut(&Partition::of(&key)) {
            kept.wakes.push((key, Wake { due_at, waiting }));
        }
    }
    Ok(())
}

/// Saves checkpoints and renews leases. Answers the partitions that belong to somebody else.
pub(super) async fn save_checkpoints(
    db: &mut PgConnection,
    ttl: Duration,
    changes: &[Changes],
) -> Result<Vec<Partition>, StateError> {
    let (numbers, fences) = columns(changes.iter().map(|changed| &changed.lease));
    let checkpoints: Result<Vec<i64>, _> =
        changes.iter().map(|changed| changed.checkpoint.to_column()).collect();
    // Locks the rows, all in one order: whoever takes one of them meanwhile waits for this, or this for them.
    let kept: Vec<i16> = sqlx::query_scalar(
        "with given as (
            select * from unnest($1::smallint[], $2::bigint[], $3::bigint[]) as given (number, fence, checkpoint)),
         ours as (
            select held.number, given.checkpoint
              from sagas.partition as held join given on held.number = given.number
             where held.holder is not null and (held.fence = given.fence or $5)
             order by held.number for update of held)
         update sagas.partition as held
            set checkpoint = ours.checkpoint, runs_out_at = clock_timestamp() + $4
           from ours where held.number = ours.number
         returning held.number",
    )
    .bind(numbers)
    .bind(fences)
    .bind(checkpoints.map_err(misplaced)?)
    .bind(ttl)
    .bind(planted("no-fence"))
    .fetch_all(db)
    .await
    .map_err(unavailable("saving the checkpoints"))?;
    let lost = changes.iter().map(|changed| changed.lease.partition);
    Ok(lost.filter(|partition| !kept.contains(&partition.to_column())).collect())
}

/// Keeps what is to be looked at again from now on.
pub(super) async fn save_wakes(
    db: &mut PgConnection,
    wakes: &[&(Key, Option<Wake>)],
) -> Result<(), sqlx::Error> {
    let (mut kinds, mut ids): (Vec<&str>, Vec<String>) = Default::default();
    let (mut due, mut waiting): (Vec<DateTime<Utc>>, Vec<&str>) = Default::default();
    let (mut gone_kinds, mut gone_ids): (Vec<&str>, Vec<String>) = Default::default();
    for (key, wake) in wakes {
        let (kind, id) = key.to_parts();
        if let Some(wake) = wake {
            kinds.push(kind);
            ids.push(id);
            due.push(wake.due_at);
            waiting.push(&wake.waiting);
        } else {
            gone_kinds.push(kind);
            gone_ids.push(id);
        }
    }
    if !gone_ids.is_empty() {
        sqlx::query(
            "delete from sagas.wake using unnest($1::text[], $2::text[]) as gone (kind, id)
              where wake.kind = gone.kind and wake.id = gone.id",
        )
        .bind(gone_kinds)
        .bind(gone_ids)
        .execute(&mut *db)
        .await?;
    }
    if !ids.is_empty() {
        sqlx::query(
            "insert into sagas.wake (kind, id, due_at, waiting)
             select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
             on conflict (kind, id) do update set due_at = excluded.due_at, waiting = excluded.waiting",
        )
        .bind(kinds)
        .bind(ids)
        .bind(due)
        .bind(waiting)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}
