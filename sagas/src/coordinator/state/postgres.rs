//! The coordinator's state in Postgres, in schema `sagas`. The lease runs by the clock of the database,
//! which all coordinators share.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event_store::{ColumnError, Position};
use platform::fault::{crash_point, planted};
use sqlx::{
    Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};

use super::{Changes, CoordinatorState, Kept, Key, Lease, StateError, Wake};
use crate::coordinator::boundary::CHECKPOINT_UNCOMMITTED;

/// The state of the one coordinator of a database.
#[derive(Debug, Clone)]
pub struct PostgresState {
    pool: PgPool,
}

/// The schema could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the schema of the coordinator cannot be made: {source}")]
pub struct MigrateError {
    /// What the engine said.
    #[from]
    source: sqlx::migrate::MigrateError,
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        Self { source: error.into() }
    }
}

/// Makes the schema `sagas`, or brings it up to date, and lets the service role use it.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), MigrateError> {
    let mut connection =
        PgConnection::connect_with(&owner.clone().options([("search_path", "sagas")])).await?;
    sqlx::query("create schema if not exists sagas").execute(&mut connection).await?;
    sqlx::migrate!("migrations/sagas").run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

impl PostgresState {
    /// The state that the service role keeps in this database. Connects when it is first used.
    pub fn new(service: &PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(service.clone());
        Self { pool }
    }
}

#[async_trait]
impl CoordinatorState for PostgresState {
    async fn acquire(&self, holder: &str, ttl: Duration) -> Result<Option<Lease>, StateError> {
        let fence: Option<i64> = sqlx::query_scalar(
            "insert into sagas.lease as held (name, holder, fence, runs_out_at)
             values ('coordinator', $1, 1, clock_timestamp() + $2)
             on conflict (name) do update
                set holder = excluded.holder, fence = held.fence + 1, runs_out_at = excluded.runs_out_at
              where held.runs_out_at <= clock_timestamp() or held.holder = excluded.holder
             returning fence",
        )
        .bind(holder)
        .bind(ttl)
        .fetch_optional(&self.pool)
        .await
        .map_err(unavailable("acquiring the lease"))?;
        Ok(fence.map(|fence| Lease { fence }))
    }

    async fn load(&self) -> Result<Kept, StateError> {
        let doing = "reading the checkpoint";
        let mut tx = self.pool.begin().await.map_err(unavailable(doing))?;
        sqlx::query("set transaction isolation level repeatable read, read only")
            .execute(&mut *tx)
            .await
            .map_err(unavailable(doing))?;
        let checkpoint: Option<i64> =
            sqlx::query_scalar("select position from sagas.checkpoint where name = 'coordinator'")
                .fetch_optional(&mut *tx)
                .await
                .map_err(unavailable(doing))?;
        let rows = sqlx::query("select kind, id, due_at, waiting from sagas.wake")
            .fetch_all(&mut *tx)
            .await
            .map_err(unavailable(doing))?;
        let wakes = rows.iter().map(read_wake).collect::<Result<_, _>>()?;
        let checkpoint = Position::from_column(checkpoint.unwrap_or_default()).map_err(misplaced)?;
        Ok(Kept { checkpoint, wakes })
    }

    async fn save(&self, lease: Lease, ttl: Duration, changes: &Changes) -> Result<(), StateError> {
        let failed = unavailable("saving the checkpoint");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        // Locks the row: whoever acquires the lease meanwhile waits for this, or this waits for them.
        let held = sqlx::query(
            "update sagas.lease set runs_out_at = clock_timestamp() + $2
              where name = 'coordinator' and fence = $1",
        )
        .bind(lease.fence)
        .bind(ttl)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        if held.rows_affected() == 0 && !planted("no-fence") {
            return Err(StateError::Fenced { fence: lease.fence });
        }
        let position = changes.checkpoint.to_column().map_err(misplaced)?;
        sqlx::query(
            "insert into sagas.checkpoint (name, position) values ('coordinator', $1)
             on conflict (name) do update set position = excluded.position",
        )
        .bind(position)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        keep_wakes(&mut tx, changes).await.map_err(&failed)?;
        crash_point(CHECKPOINT_UNCOMMITTED);
        tx.commit().await.map_err(&failed)
    }

    async fn release(&self, lease: Lease) -> Result<(), StateError> {
        sqlx::query(
            "update sagas.lease set runs_out_at = clock_timestamp()
              where name = 'coordinator' and fence = $1",
        )
        .bind(lease.fence)
        .execute(&self.pool)
        .await
        .map_err(unavailable("releasing the lease"))?;
        Ok(())
    }
}

async fn keep_wakes(connection: &mut PgConnection, changes: &Changes) -> Result<(), sqlx::Error> {
    let (mut kinds, mut ids): (Vec<&str>, Vec<String>) = Default::default();
    let (mut due, mut waiting): (Vec<DateTime<Utc>>, Vec<&str>) = Default::default();
    let (mut gone_kinds, mut gone_ids): (Vec<&str>, Vec<String>) = Default::default();
    for (key, wake) in &changes.wakes {
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
        .execute(&mut *connection)
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
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn read_wake(row: &PgRow) -> Result<(Key, Wake), StateError> {
    let corrupt = |reason: String| StateError::Corrupt { reason };
    let text = |column| row.try_get::<String, _>(column).map_err(|error| corrupt(error.to_string()));
    let (kind, id) = (text("kind")?, text("id")?);
    let key = Key::from_parts(&kind, &id).ok_or_else(|| corrupt(format!("a wake of {kind} {id}")))?;
    let due_at = row.try_get("due_at").map_err(|error| corrupt(error.to_string()))?;
    Ok((key, Wake { due_at, waiting: text("waiting")? }))
}

fn misplaced(error: ColumnError) -> StateError {
    StateError::Corrupt { reason: error.to_string() }
}

fn unavailable(doing: &'static str) -> impl Fn(sqlx::Error) -> StateError {
    move |error| StateError::Unavailable { doing, reason: error.to_string() }
}
