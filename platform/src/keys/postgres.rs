//! Keys in the schema `vault`, which only the service's role can read.

use async_trait::async_trait;
use sqlx::{
    Connection,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPool},
};
use uuid::Uuid;

use super::{Error, Key, KeyStore, new_key};
use crate::postgres;

/// Keys in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresKeys {
    pool: PgPool,
}

/// Makes the schema `vault`, or finds that it is there.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), Error> {
    let migrated = postgres::migrate(owner, "vault", &sqlx::migrate!("./migrations/vault")).await?;
    Ok(migrated.close().await.map_err(MigrateError::from)?)
}

impl PostgresKeys {
    /// Over connections of the service's role.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[async_trait]
impl KeyStore for PostgresKeys {
    async fn get_or_create(&self, person: Uuid) -> Result<Key, Error> {
        // Another caller may erase between our two statements: then we make a key again.
        loop {
            if let Some(key) = self.get(person).await? {
                return Ok(key);
            }
            sqlx::query(
                "insert into vault.person_key (person, key) values ($1, $2) on conflict (person) do nothing",
            )
            .bind(person)
            .bind(new_key()?.as_slice())
            .execute(&self.pool)
            .await
            .map_err(|source| Error::Store { action: "make", person, source })?;
        }
    }

    async fn get(&self, person: Uuid) -> Result<Option<Key>, Error> {
        let kept: Option<Vec<u8>> = sqlx::query_scalar("select key from vault.person_key where person = $1")
            .bind(person)
            .fetch_optional(&self.pool)
            .await
            .map_err(|source| Error::Store { action: "read", person, source })?;
        kept.map(|bytes| Key::try_from(bytes).map_err(|_| Error::Damaged { person })).transpose()
    }

    async fn erase(&self, person: Uuid) -> Result<bool, Error> {
        let erased = sqlx::query("delete from vault.person_key where person = $1")
            .bind(person)
            .execute(&self.pool)
            .await
            .map_err(|source| Error::Store { action: "erase", person, source })?;
        Ok(erased.rows_affected() > 0)
    }
}
