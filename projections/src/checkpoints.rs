//! How far a version has been written: one checkpoint, one for each worker that fills it, or one for each
//! partition that it is split into. Rows and checkpoint are written in one transaction.

use event_store::Position;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    Definition, Error,
    batch::Poison,
    versions::{Live, position_from, position_to},
};

/// The checkpoint is a table in the version's schema, read through a view that is switched together
/// with the others, so that whoever reads rows reads the position of exactly these rows. Shards above 0
/// are those of the workers that fill a version. Afterwards there is shard 0 and no other; in a split
/// version that is read, shards -1 and below instead, one for each partition.
pub(crate) const TABLE: &str =
    "create table checkpoint (shard smallint primary key, position bigint not null)";

/// Where a shard is: shard 0 for all of a version. The search path must be the version's schema.
pub(crate) async fn of_shard(shard: i16, db: &mut PgConnection) -> Result<Position, Error> {
    let sql = "select position from checkpoint where shard = $1";
    Ok(position_from(sqlx::query_scalar(sql).bind(shard).fetch_one(db).await?)?)
}

/// Where each partition of the live version is, in their order, whatever the search path.
pub(crate) async fn of_partitions(
    definition: &Definition,
    live: Live,
    db: &mut PgConnection,
) -> Result<Vec<Position>, Error> {
    let schema = definition.schema(live.version);
    let sql = format!("select position from {schema}.checkpoint where shard <= 0 order by -shard");
    let positions: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(db).await?;
    let positions = positions.into_iter().map(|position| Ok(position_from(position)?));
    positions.collect()
}

/// What all partitions of the live version have got to: the position that readers see.
pub(crate) async fn position(
    definition: &Definition,
    live: Live,
    db: &mut PgConnection,
) -> Result<Position, Error> {
    Ok(of_partitions(definition, live, db).await?.into_iter().min().unwrap_or(Position::START))
}

/// Where each worker of a version is that is still being filled, or each partition of one that was read or
/// compared before, in their order.
pub(crate) async fn shards(db: &mut PgConnection) -> Result<Vec<(i16, Position)>, Error> {
    let shards: Vec<(i16, i64)> =
        sqlx::query_as("select shard, position from checkpoint where shard <> 0 order by abs(shard)")
            .fetch_all(db)
            .await?;
    let shards = shards.into_iter().map(|(shard, position)| Ok((shard, position_from(position)?)));
    shards.collect()
}

/// Makes one checkpoint out of those of all shards, which must all have got to `position`.
pub(crate) async fn join(position: Position, tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("delete from checkpoint where shard <> 0").execute(&mut *tx).await?;
    sqlx::query("insert into checkpoint (shard, position) values (0, $1)")
        .bind(position_to(position)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Makes a checkpoint for each partition out of the one.
pub(crate) async fn split(partitions: i16, tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query(
        "with whole as (delete from checkpoint where shard = 0 returning position)
         insert into checkpoint (shard, position)
         select -number, position from whole, generate_series(1, $1::int) as number",
    )
    .bind(partitions)
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps a transaction that writes one of several shards from running while the version is stopped. Whoever
/// looks for the event that is to blame is alone, because it writes shared rows several times and so in no
/// order. Must come before every other lock; locks of tables are given in the order of asking, so that who
/// is to stop all writers need not wait until none comes any more. `false` when the version was dropped.
pub(crate) async fn write_beside_others(poison: Poison, tx: &mut PgConnection) -> Result<bool, Error> {
    let sql = match poison {
        Poison::Undoes => "lock table checkpoint in row share mode",
        Poison::IsFound => "lock table checkpoint in exclusive mode",
    };
    match sqlx::raw_sql(sql).execute(tx).await {
        Ok(_) => Ok(true),
        Err(error) if are_gone(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a statement failed because the version was dropped.
pub(crate) fn are_gone(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42P01"))
}
