//! Keys in the schema `vault`, which only the service's role can read.

use async_trait::async_trait;
use sqlx::{Connection, migrate::MigrateError, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{Error, Key, KeyStore, new_key};
use crate::postgres::{self, Statements};

/// Keys in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresKeys {
    db: Statements,
}

/// Makes the schema `vault`, or finds that it is there.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), Error> {
    let migrated = postgres::migrate(owner, "vault", &sqlx::migrate!("./migrations/vault")).await?;
    Ok(migrated.close().await.map_err(MigrateError::from)?)
}

impl PostgresKeys {
    /// Over connections of the service's role.
    pub fn new(db: Statements) -> Self {
        Self { db }
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
            let key = new_key()?;
            let insert =
                "insert into vault.person_key (person, key) values ($1, $2) on conflict (person) do nothing";
            let insert = sqlx::query(insert).bind(person).bind(key.as_slice());
            let made = self.db.run(async |db| insert.execute(db).await).await;
            made.map_err(|source| Error::Store { action: "make", person, source })?;
        }
    }

    async fn get(&self, person: Uuid) -> Result<Option<Key>, Error> {
        let select = sqlx::query_scalar("select key from vault.person_key where person = $1").bind(person);
        let kept: Result<Option<Vec<u8>>, _> = self.db.run(async |db| select.fetch_optional(db).await).await;
        let kept = kept.map_err(|source| Error::Store { action: "read", person, source })?;
        kept.map(|bytes| Key::try_from(bytes).map_err(|_| Error::Damaged { person })).transpose()
    }

    async fn erase(&self, person: Uuid) -> Result<bool, Error> {
        let delete = sqlx::query("delete from vault.person_key where person = $1").bind(person);
        let erased = self.db.run(async |db| delete.execute(db).await).await;
        let erased = erased.map_err(|source| Error::Store { action: "erase", person, source })?;
        Ok(erased.rows_affected() > 0)
    }
}
