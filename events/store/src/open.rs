//! The choice of an adapter by the scheme of one URL.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

use crate::{EventStore, StoreError, memory::MemoryStore, postgres::PostgresStore};

/// Why no store was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The text has no scheme.
    #[error("{url:?} is not a store's URL: it must begin with one of {KNOWN_SCHEMES}")]
    NoScheme {
        /// What was given.
        url: String,
    },
    /// No adapter is called so. The rest of the URL may hold a password and is not repeated.
    #[error("no event store is called {scheme:?}; known are {KNOWN_SCHEMES}")]
    UnknownScheme {
        /// The part before the colon.
        scheme: String,
    },
    /// The scheme is known, but the rest cannot be read. It may hold a password and is not repeated.
    #[error("the URL of the Postgres event store cannot be read: {reason}")]
    Unreadable {
        /// What the parser objected to.
        reason: String,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const KNOWN_SCHEMES: &str = "postgres://, memory:";

/// Opens the store that `url` names: `postgres://…` (or `postgresql://…`) for a database that was
/// migrated, `memory:` for an empty one in memory.
pub async fn open(url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    let (scheme, _) = url.split_once(':').ok_or_else(|| OpenError::NoScheme { url: url.to_owned() })?;
    match scheme {
        "postgres" | "postgresql" => {
            let options: PgConnectOptions = url
                .parse()
                .map_err(|error: sqlx::Error| OpenError::Unreadable { reason: error.to_string() })?;
            Ok(Arc::new(PostgresStore::connect(options).await?))
        }
        "memory" => Ok(Arc::new(MemoryStore::new())),
        scheme => Err(OpenError::UnknownScheme { scheme: scheme.to_owned() }),
    }
}
