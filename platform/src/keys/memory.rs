//! Keys in memory, for tests and simulation.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Error, Key, KeyStore, new_key};

/// Keys that are gone when the process is.
#[derive(Default)]
pub struct MemoryKeys(Mutex<HashMap<Uuid, Key>>);

impl MemoryKeys {
    fn keys(&self) -> MutexGuard<'_, HashMap<Uuid, Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryKeys({} persons)", self.keys().len())
    }
}

#[async_trait]
impl KeyStore for MemoryKeys {
    async fn get_or_create(&self, person: Uuid) -> Result<Key, Error> {
        let new = new_key()?;
        Ok(*self.keys().entry(person).or_insert(new))
    }

    async fn get(&self, person: Uuid) -> Result<Option<Key>, Error> {
        Ok(self.keys().get(&person).copied())
    }

    async fn erase(&self, person: Uuid) -> Result<bool, Error> {
        Ok(self.keys().remove(&person).is_some())
    }
}
