//! The names of streams by their numbers in the database. **A number never gets another name**, so whoever reads
//! the log asks for each once, and not for every event.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use events::StreamName;
use quick_cache::sync::Cache;
use sqlx::Row;

use super::{failure, reading::Reader};
use crate::StoreError;

/// How many names are kept, about: some ten megabytes.
const KEPT: usize = 100_000;

const DOING: &str = "reading the names of streams";

/// Names that were read.
#[derive(Debug, Clone)]
pub(super) struct Names {
    kept: Arc<Cache<i64, StreamName>>,
}

impl Names {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { kept: Arc::new(Cache::new(KEPT)) }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        self.kept.clear();
    }

    /// The names of these streams, of which those that are not known yet are read.
    pub(super) async fn of(
        &self,
        numbers: HashSet<i64>,
        reader: &Reader,
    ) -> Result<HashMap<i64, StreamName>, StoreError> {
        let mut names = HashMap::with_capacity(numbers.len());
        let mut unknown = Vec::new();
        for number in numbers {
            match self.kept.get(&number) {
                Some(name) => drop(names.insert(number, name)),
                None => unknown.push(number),
            }
        }
        if unknown.is_empty() {
            return Ok(names);
        }
        let query = move || {
            sqlx::query("select stream_no, name from event_store.streams where stream_no = any($1)")
                .bind(unknown.clone())
        };
        for row in reader.rows(DOING, query).await? {
            let read = || {
                let name = row.try_get::<&str, _>(1)?.parse::<StreamName>();
                Ok((row.try_get(0)?, name.map_err(|error| sqlx::Error::Decode(Box::new(error)))?))
            };
            let (number, name): (i64, StreamName) =
                read().map_err(|error| failure::of_read(DOING, &error))?;
            self.kept.insert(number, name.clone());
            names.insert(number, name);
        }
        Ok(names)
    }
}
