//! Snapshots in the schema `snapshots`, which only the service's role can read and write.

use std::time::Duration;

use async_trait::async_trait;
use event_store::Position;
use events::StreamName;
use sqlx::{
    Connection,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPool},
};
use uuid::Uuid;

use super::{SnapshotError, SnapshotStore, StoredSnapshot};

/// Snapshots in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresSnapshots {
    pool: PgPool,
}

/// Makes the schema `snapshots`, or finds that it is there.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), MigrateError> {
    let migrated = platform::postgres::migrate(owner, "snapshots", &sqlx::migrate!("./migrations")).await?;
    Ok(migrated.close().await?)
}

impl PostgresSnapshots {
    /// Over two connections of the service's role, made when they are needed. They do not wait for the disk: what a
    /// crash loses is stored again.
    pub fn new(service: &PgConnectOptions) -> Self {
        let options = service.clone().options([("synchronous_commit", "off"), ("statement_timeout", "5s")]);
        let pool =
            platform::postgres::pool_options().max_connections(2).acquire_timeout(Duration::from_secs(5));
        Self { pool: pool.connect_lazy_with(options) }
    }
}

impl PostgresSnapshots {
    /// Those by the rules of `version` whose streams are behind `after` in the order of their names, at most `limit`.
    pub async fn page(
        &self,
        version: i32,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(StreamName, StoredSnapshot)>, SnapshotError> {
        let rows: Vec<(String, i64, i64, Uuid, String)> = sqlx::query_as(
            "select stream, revision, position, event_id, state::text from snapshots.states
             where version = $1 and stream > $2 order by stream limit $3",
        )
        .bind(version)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let snapshots = rows.into_iter().map(|(stream, revision, position, event_id, state)| {
            let stream = stream.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok((stream, snapshot(version, revision, position, event_id, state)?))
        });
        snapshots.collect()
    }
}

fn snapshot(
    version: i32,
    revision: i64,
    position: i64,
    event_id: Uuid,
    state: String,
) -> Result<StoredSnapshot, SnapshotError> {
    let revision = u64::try_from(revision).map_err(|_| SnapshotError::Revision(revision.into()))?;
    let position = Position::from_column(position)?;
    Ok(StoredSnapshot { version, revision, position, event_id, state })
}

#[async_trait]
impl SnapshotStore for PostgresSnapshots {
    async fn get(&self, stream: &StreamName, version: i32) -> Result<Option<StoredSnapshot>, SnapshotError> {
        let found: Option<(i64, i64, Uuid, String)> = sqlx::query_as(
            "select revision, position, event_id, state::text from snapshots.states
             where stream = $1 and version = $2",
        )
        .bind(stream.as_str())
        .bind(version)
        .fetch_optional(&self.pool)
        .await?;
        found
            .map(|(revision, position, event_id, state)| {
                snapshot(version, revision, position, event_id, state)
            })
            .transpose()
    }

    async fn put(&self, stream: &StreamName, snapshot: StoredSnapshot) -> Result<(), SnapshotError> {
        let StoredSnapshot { version, revision, position, event_id, state } = snapshot;
        let revision = i64::try_from(revision).map_err(|_| SnapshotError::Revision(revision.into()))?;
        sqlx::query(
            "insert into snapshots.states (stream, version, revision, position, event_id, state)
             values ($1, $2, $3, $4, $5, $6::json)
             on conflict (stream, version) do update
                 set revision = excluded.revision, position = excluded.position,
                     event_id = excluded.event_id, state = excluded.state, stored_at = excluded.stored_at",
        )
        .bind(stream.as_str())
        .bind(version)
        .bind(revision)
        .bind(position.to_column()?)
        .bind(event_id)
        .bind(state)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
