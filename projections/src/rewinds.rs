//! Events that came late: what a live read model was given behind its checkpoint, where nobody who
//! follows it by position would look again. It is written down in the transaction that makes the rows
//! seen, **while the live version is locked**, so that editions are given in the order of commits.

use sqlx::PgConnection;

use crate::{Definition, Error};

/// A parked stream was let go on, from the event at `position` on.
pub(crate) async fn record(
    definition: &Definition,
    stream: &str,
    position: i64,
    tx: &mut PgConnection,
) -> Result<(), Error> {
    sqlx::query("insert into projections.rewinds (projection, stream, position) values ($1, $2, $3)")
        .bind(definition.name)
        .bind(stream)
        .bind(position)
        .execute(tx)
        .await?;
    Ok(())
}

/// Readers are switched over from one version to another, which has events of streams that the first
/// one keeps back.
pub(crate) async fn record_switch(
    definition: &Definition,
    from: i32,
    to: i32,
    tx: &mut PgConnection,
) -> Result<(), Error> {
    sqlx::query(
        "insert into projections.rewinds (projection, stream, position)
         select kept.projection, kept.stream, kept.position
         from projections.parked_streams kept
         where kept.projection = $1 and kept.version = $2 and not exists (
             select from projections.parked_streams still
             where still.projection = kept.projection and still.version = $3
                 and still.stream = kept.stream and still.revision <= kept.revision)
         order by kept.position",
    )
    .bind(definition.name)
    .bind(from)
    .bind(to)
    .execute(tx)
    .await?;
    Ok(())
}
