//! The keys of persons, in a store of their own. Their data lies sealed in the log; erasing the key
//! erases the person. Keys are never logged, and an erased key never comes back: whoever returns after
//! an erasure gets a new one, which opens nothing of before.

mod memory;
mod postgres;

use std::io;

use async_trait::async_trait;
use rand::{TryRngCore, rngs::OsRng};
use uuid::Uuid;

pub use memory::MemoryKeys;
pub use postgres::{PostgresKeys, migrate};

/// The key of one person: 256 bits.
pub type Key = [u8; 32];

/// Where keys are kept.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// The person's key, made now if there is none. Two callers at once get the same.
    async fn get_or_create(&self, person: Uuid) -> Result<Key, Error>;

    /// The person's key; `None` if there never was one, or it was erased.
    async fn get(&self, person: Uuid) -> Result<Option<Key>, Error>;

    /// Erases the person's key for good. Says whether there was one.
    async fn erase(&self, person: Uuid) -> Result<bool, Error>;
}

/// Why a key could not be had. Says nothing of any key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store of keys cannot be reached, or refused.
    #[error("could not {action} the key of person {person}")]
    Store {
        /// What was being done.
        action: &'static str,
        /// Whose key.
        person: Uuid,
        /// Why not.
        source: sqlx::Error,
    },
    /// What is kept is not a key.
    #[error("the kept key of person {person} does not have 32 bytes")]
    Damaged {
        /// Whose key.
        person: Uuid,
    },
    /// The system gives no randomness.
    #[error("the system gave no randomness for a key")]
    NoRandomness(#[source] io::Error),
    /// The schema could not be made.
    #[error("could not prepare the schema `vault`")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

fn new_key() -> Result<Key, Error> {
    let mut key = Key::default();
    OsRng.try_fill_bytes(&mut key).map_err(|error| Error::NoRandomness(io::Error::other(error)))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{sync::Arc, time::Duration};

    use futures::future::join_all;
    use sqlx::{Executor, postgres::PgPool};

    use super::*;
    use crate::postgres::{Databases, Statements, testing::fresh_database};

    /// What any store of keys keeps to.
    async fn contract(keys: Arc<dyn KeyStore>) {
        let (ada, grace) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(keys.get(ada).await.unwrap(), None);
        assert!(!keys.erase(ada).await.unwrap());

        let at_once = join_all((0..8).map(|_| keys.get_or_create(ada))).await;
        let first = keys.get(ada).await.unwrap().unwrap();
        assert!(at_once.into_iter().all(|key| key.unwrap() == first));
        assert_ne!(keys.get_or_create(grace).await.unwrap(), first);
        assert_ne!(first, Key::default());

        assert!(keys.erase(ada).await.unwrap());
        assert_eq!(keys.get(ada).await.unwrap(), None);
        assert_ne!(keys.get_or_create(ada).await.unwrap(), first, "an erased key came back");
        assert!(keys.get(grace).await.unwrap().is_some(), "another's key was erased too");
    }

    #[tokio::test]
    async fn memory_keeps_the_contract() {
        contract(Arc::new(MemoryKeys::default())).await;
    }

    fn service(databases: &Databases) -> Statements {
        Statements::over(databases.service.clone(), 4, Duration::from_secs(10))
    }

    #[tokio::test]
    async fn postgres_keeps_the_contract() {
        let databases = fresh_database().await;
        migrate(&databases.owner).await.unwrap();
        migrate(&databases.owner).await.unwrap();
        contract(Arc::new(PostgresKeys::new(service(&databases)))).await;
    }

    #[tokio::test]
    async fn only_the_service_reaches_the_keys_and_even_it_cannot_change_one() {
        let databases = fresh_database().await;
        migrate(&databases.owner).await.unwrap();
        PostgresKeys::new(service(&databases)).get_or_create(Uuid::from_u128(1)).await.unwrap();
        let service = PgPool::connect_with(databases.service).await.unwrap();
        service.execute("update vault.person_key set created_at = now()").await.unwrap_err();
        service.execute("truncate vault.person_key").await.unwrap_err();
        for stranger in [databases.projector, databases.reader] {
            let stranger = PgPool::connect_with(stranger).await.unwrap();
            stranger.execute("select person from vault.person_key").await.unwrap_err();
        }
    }
}
