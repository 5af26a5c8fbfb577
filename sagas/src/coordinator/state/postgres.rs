//! The coordinators' state in Postgres, in schema `sagas`. Leases run by the clock of the database, which all
//! coordinators share.

mod claims;
mod keeping;

use std::time::Duration;

use async_trait::async_trait;
use event_store::ColumnError;
use platform::fault::crash_point;
use sqlx::{Connection, PgPool, migrate::MigrateError, postgres::PgConnectOptions};

use super::{Changes, Claim, CoordinatorState, Kept, Lease, StateError};
use crate::coordinator::{boundary::CHECKPOINT_UNCOMMITTED, partition::Partition};

/// The state of the coordinators of a database.
#[derive(Debug, Clone)]
pub struct PostgresState {
    pool: PgPool,
}

/// Makes the schema `sagas`, or brings it up to date, and lets the service role use it.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), MigrateError> {
    let migrated = platform::postgres::migrate(owner, "sagas", &sqlx::migrate!("migrations/sagas")).await?;
    Ok(migrated.close().await?)
}

impl PostgresState {
    /// The state that the service role keeps in this database. Connects when it is first used.
    pub fn new(service: &PgConnectOptions) -> Self {
        let pool = platform::postgres::pool_options()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(service.clone());
        Self { pool }
    }
}

#[async_trait]
impl CoordinatorState for PostgresState {
    async fn claim(&self, holder: &str, ttl: Duration, holds: &[Partition]) -> Result<Claim, StateError> {
        let failed = unavailable("claiming partitions");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        claims::keep_older_releases_out(&mut tx, ttl).await.map_err(&failed)?;
        let share = claims::join(&mut tx, holder, ttl).await?;
        let gained = match share.saturating_sub(holds.len()) {
            0 => Vec::new(),
            missing => claims::take(&mut tx, holder, ttl, holds, missing).await?,
        };
        tx.commit().await.map_err(&failed)?;
        Ok(Claim { share, gained })
    }

    async fn load(&self, partitions: &[Partition]) -> Result<Vec<Kept>, StateError> {
        let failed = unavailable("reading what was kept");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        sqlx::query("set transaction isolation level repeatable read, read only")
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        let mut kept = keeping::checkpoints(&mut tx, partitions).await?;
        keeping::add_wakes(&mut tx, &mut kept).await?;
        Ok(kept)
    }

    async fn save(&self, ttl: Duration, changes: &[Changes]) -> Result<Vec<Partition>, StateError> {
        let failed = unavailable("saving the checkpoints");
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        let lost = keeping::save_checkpoints(&mut tx, ttl, changes).await?;
        let kept = changes.iter().filter(|changed| !lost.contains(&changed.lease.partition));
        let wakes: Vec<_> = kept.flat_map(|changed| &changed.wakes).collect();
        keeping::save_wakes(&mut tx, &wakes).await.map_err(&failed)?;
        crash_point(CHECKPOINT_UNCOMMITTED);
        tx.commit().await.map_err(&failed)?;
        Ok(lost)
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StateError> {
        claims::release(&self.pool, leases).await.map_err(unavailable("giving leases back"))
    }

    async fn leave(&self, holder: &str) -> Result<(), StateError> {
        claims::leave(&self.pool, holder).await.map_err(unavailable("leaving the others"))
    }

    async fn is_of_newer_release(&self, name: &str, version: u16) -> Result<bool, StateError> {
        let known = platform::releases::can_read(&self.pool, name, version).await;
        known.map_err(unavailable("asking what newer releases can read"))
    }

    async fn stand_back(&self, holder: &str) -> Result<(), StateError> {
        claims::stand_back(&self.pool, holder).await.map_err(unavailable("standing back"))
    }
}

/// The columns of leases: numbers of partitions, and fences.
fn columns<'l>(leases: impl IntoIterator<Item = &'l Lease>) -> (Vec<i16>, Vec<i64>) {
    leases.into_iter().map(|lease| (lease.partition.to_column(), lease.fence)).unzip()
}

fn partition(number: i16) -> Result<Partition, StateError> {
    Partition::from_column(number)
        .ok_or_else(|| StateError::Corrupt { reason: format!("there is a partition {number}") })
}

fn misplaced(error: ColumnError) -> StateError {
    StateError::Corrupt { reason: error.to_string() }
}

fn unavailable(doing: &'static str) -> impl Fn(sqlx::Error) -> StateError {
    move |error| StateError::Unavailable { doing, reason: error.to_string() }
}
