//! The checkpoint and the lease, one row in Postgres in schema `relay`. The lease runs by the clock of the
//! database, which all relays share, and each has a number that is higher than all before it: **who shows an
//! old one moves nothing.**

use std::time::Duration;

use event_store::{ColumnError, Position};
use sqlx::{
    Connection, PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::Error;

/// Where the relays of a database keep how far they are.
#[derive(Debug, Clone)]
pub struct Progress {
    pool: PgPool,
}

/// The right to publish, until it runs out or somebody else gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) fence: i64,
}

/// How far the relay is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// JetStream has acknowledged every event up to here.
    pub checkpoint: Position,
    /// Which process publishes; none when no process does.
    pub holder: Option<String>,
}

/// Why the checkpoint was not set back.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// It is not behind that position yet; moved there, it would skip events.
    #[error("the relay is at position {checkpoint} and can only be set back; {to} is ahead of it")]
    Ahead {
        /// Where it is.
        checkpoint: Position,
        /// Where it was to be set.
        to: Position,
    },
    /// No relay has run on this database.
    #[error("no relay has run on this database yet, so there is nothing to set back")]
    NeverRun,
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Makes the schema `relay`, or brings it up to date, and lets the service role use it.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), MigrateError> {
    let migrated = platform::postgres::migrate(owner, "relay", &sqlx::migrate!("./migrations")).await?;
    Ok(migrated.close().await?)
}

impl Progress {
    /// What the service role keeps in this database. Connects when it is first used.
    pub fn new(service: &PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(service.clone());
        Self { pool }
    }

    /// Takes the lease for `ttl` and gives the checkpoint with it, unless another holder's lease has not run
    /// out. A holder that comes again gets a new lease, and its old one is fenced off.
    pub(crate) async fn acquire(
        &self,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<(Lease, Position)>, Error> {
        let row: Option<(i64, i64)> = sqlx::query_as(
            "insert into relay.progress as held (name, holder, fence, runs_out_at)
             values ('relay', $1, 1, clock_timestamp() + $2)
             on conflict (name) do update
                set holder = excluded.holder, fence = held.fence + 1, runs_out_at = excluded.runs_out_at
              where held.runs_out_at <= clock_timestamp() or held.holder = excluded.holder
             returning fence, checkpoint",
        )
        .bind(holder)
        .bind(ttl)
        .fetch_optional(&self.pool)
        .await
        .map_err(during("acquiring the lease"))?;
        let Some((fence, checkpoint)) = row else { return Ok(None) };
        Ok(Some((Lease { fence }, Position::from_column(checkpoint)?)))
    }

    /// Keeps the checkpoint and renews the lease for `ttl`, in one statement.
    pub(crate) async fn save(&self, lease: Lease, ttl: Duration, checkpoint: Position) -> Result<(), Error> {
        let done = sqlx::query(
            "update relay.progress set checkpoint = $3, runs_out_at = clock_timestamp() + $2
              where name = 'relay' and fence = $1",
        )
        .bind(lease.fence)
        .bind(ttl)
        .bind(checkpoint.to_column()?)
        .execute(&self.pool)
        .await
        .map_err(during("saving the checkpoint"))?;
        if done.rows_affected() == 0 { Err(Error::Fenced { fence: lease.fence }) } else { Ok(()) }
    }

    /// Gives the lease back, so that the next holder need not wait. Nothing when it is lost already.
    pub(crate) async fn release(&self, lease: Lease) -> Result<(), Error> {
        sqlx::query(
            "update relay.progress set runs_out_at = clock_timestamp() where name = 'relay' and fence = $1",
        )
        .bind(lease.fence)
        .execute(&self.pool)
        .await
        .map_err(during("releasing the lease"))?;
        Ok(())
    }

    /// Sets the checkpoint back, and gives the position where it was. A relay that publishes meanwhile is
    /// fenced off, and begins again from there.
    pub async fn rewind(&self, to: Position) -> Result<Position, RewindError> {
        let failed = |error| during("setting the checkpoint back")(error);
        let mut tx = self.pool.begin().await.map_err(failed)?;
        let checkpoint: Option<i64> =
            sqlx::query_scalar("select checkpoint from relay.progress where name = 'relay' for update")
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed)?;
        let checkpoint = checkpoint.ok_or(RewindError::NeverRun)?;
        let checkpoint = Position::from_column(checkpoint).map_err(Error::from)?;
        if to > checkpoint {
            return Err(RewindError::Ahead { checkpoint, to });
        }
        sqlx::query("update relay.progress set checkpoint = $1, fence = fence + 1 where name = 'relay'")
            .bind(to.to_column().map_err(Error::from)?)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(checkpoint)
    }
}

impl State {
    /// What is kept in a database, as any role sees it that may read it; `None` when no relay has run on it.
    pub async fn read(pool: &PgPool) -> Result<Option<Self>, sqlx::Error> {
        let row: Option<(i64, Option<String>)> = sqlx::query_as(
            "select checkpoint, case when runs_out_at > clock_timestamp() then holder end
               from relay.progress where name = 'relay'",
        )
        .fetch_optional(pool)
        .await?;
        let decoded = |error: ColumnError| sqlx::Error::Decode(Box::new(error));
        row.map(|(checkpoint, holder)| {
            Ok(Self { checkpoint: Position::from_column(checkpoint).map_err(decoded)?, holder })
        })
        .transpose()
    }
}

fn during(doing: &'static str) -> impl Fn(sqlx::Error) -> Error + Copy {
    move |source| Error::Progress { doing, source }
}
