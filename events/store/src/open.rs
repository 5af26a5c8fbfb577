//! The choice of an adapter by the scheme of one URL.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

#[cfg(feature = "eventstoredb")]
use crate::eventstoredb::EventStoreDbStore;
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
    #[error("the URL of the {store} event store cannot be read: {reason}")]
    Unreadable {
        /// Which engine it names.
        store: &'static str,
        /// What the parser objected to.
        reason: String,
    },
    /// The adapter is not in this build.
    #[error("this build cannot open {scheme:?}: it was made without the feature {feature:?} of event-store")]
    NotInThisBuild {
        /// The part before the colon.
        scheme: String,
        /// What is needed.
        feature: &'static str,
    },
    /// A server refuses the user of the URL.
    #[error(
        "{server} refuses the user of the URL: give one that may read $all and write streams, as in \
         esdb://user:password@host:2113"
    )]
    CredentialsRefused {
        /// Host and port.
        server: String,
    },
    /// Something answers there, and it is no EventStoreDB.
    #[error(
        "what answers at {server} is no EventStoreDB, or is spoken to in the wrong way (the URL says tls={tls}): \
         {reason}"
    )]
    NotEventStoreDb {
        /// Host and port.
        server: String,
        /// Whether the connection was to be secure.
        tls: bool,
        /// What went wrong.
        reason: String,
    },
    /// The client of EventStoreDB insists on being the first to choose.
    #[error(
        "the EventStoreDB store must be opened before any other part of the process installs a default \
         provider for rustls"
    )]
    ProviderTaken,
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const KNOWN_SCHEMES: &str = "postgres://, esdb://, memory:";

/// Opens the store that `url` names: `postgres://…` (or `postgresql://…`) for a database that was
/// migrated, `esdb://…` (or `esdb+discover://…`) for a server or cluster of EventStoreDB, `memory:` for an
/// empty one in memory.
pub async fn open(url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    let (scheme, _) = url.split_once(':').ok_or_else(|| OpenError::NoScheme { url: url.to_owned() })?;
    match scheme {
        "postgres" | "postgresql" => {
            let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| {
                OpenError::Unreadable { store: "Postgres", reason: error.to_string() }
            })?;
            Ok(Arc::new(PostgresStore::connect(options).await?))
        }
        #[cfg(feature = "eventstoredb")]
        "esdb" | "esdb+discover" => Ok(Arc::new(EventStoreDbStore::connect(url).await?)),
        #[cfg(not(feature = "eventstoredb"))]
        "esdb" | "esdb+discover" => {
            Err(OpenError::NotInThisBuild { scheme: scheme.to_owned(), feature: "eventstoredb" })
        }
        "memory" => Ok(Arc::new(MemoryStore::new())),
        scheme => Err(OpenError::UnknownScheme { scheme: scheme.to_owned() }),
    }
}
