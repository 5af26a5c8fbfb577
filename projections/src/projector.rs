//! What a projection is: a name, the events it wants, tables, and a way to write a batch of facts into
//! them. The connection's search path is the schema of the version that is written, so that the same
//! statements serve the live version and one that is being built.
//!
//! Events of different streams may reach a version in another order than the log's: streams are shared
//! out among the workers of a rebuild and the partitions of a version, and a parked stream is applied late.
//! So a projector keeps what one category says apart from what another says, and adds instead of overwriting
//! where streams meet. It adds in one statement and in the order of the keys: **those that write the same
//! rows at the same time never wait for each other in a circle.**

use async_trait::async_trait;
use event_store::Filter;
use events::Category;
use sqlx::PgConnection;

use crate::Fact;

/// A projection's shape.
#[derive(Debug)]
pub struct Definition {
    /// What it is called, in SQL too: lowercase letters.
    pub name: &'static str,
    /// Grows with every change of tables or rules; a live version of another definition is rebuilt.
    pub version: i32,
    /// The categories whose events it wants.
    pub categories: &'static [Category],
    /// The wire names that it wants of them; empty for all.
    pub names: &'static [&'static str],
    /// Its tables, for digests, each with its key.
    pub tables: &'static [Table],
    /// Statements that create the tables.
    pub create: &'static str,
    /// Statements that create what only readers need; run last when a version is built.
    pub indexes: &'static str,
    /// What is read.
    pub views: &'static [View],
    /// Why it cannot be split into partitions, if it cannot. One whose rows each depend on one stream, or
    /// add up what streams say, can; one that is read in the order of the log cannot.
    pub kept_whole: Option<&'static str>,
}

/// A table of a projection.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns of its primary key, as in SQL.
    pub key: &'static str,
}

/// A view in schema `read`. It is created while the search path is the version's schema, which binds
/// it to that version.
#[derive(Debug)]
pub struct View {
    /// Its name in schema `read`.
    pub name: &'static str,
    /// The query behind it.
    pub query: &'static str,
}

impl Definition {
    /// The events that it wants.
    pub fn filter(&self) -> Filter {
        let mut filter = Filter::categories(self.categories.iter().copied());
        filter.names = self.names.iter().map(|name| (*name).to_owned()).collect();
        filter
    }

    /// Whether it wants events of this wire name.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.contains(&name)
    }

    /// The schema of one version.
    pub fn schema(&self, version: i32) -> String {
        format!("{}_v{version}", self.name)
    }
}

/// Turns facts into rows.
#[async_trait]
pub trait Projector: Send + Sync + 'static {
    /// Its shape.
    fn definition(&self) -> &'static Definition;

    /// Writes a batch, which is in the order of the log, with a number of statements that does not
    /// grow with it. What it writes depends on the facts and the rows alone, and not on how the facts
    /// were cut into batches.
    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError>;
}

/// Why a batch could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A sum does not fit into 64 bits.
    #[error("a sum is too large")]
    Overflow,
    /// An event is about a row that no earlier event made.
    #[error("{expected} rows of {table} were to be changed, but only {found} are there")]
    MissingRows {
        /// The table.
        table: &'static str,
        /// How many should be there.
        expected: usize,
        /// How many are.
        found: u64,
    },
    /// An event makes a row that an earlier event has made.
    #[error("a row of {table} is to be made that is there already")]
    RowExists {
        /// The table.
        table: &'static str,
    },
    /// The database refused, or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl ApplyError {
    /// Whether the facts are to blame, so that trying again is no use: data that no column takes, or
    /// a constraint that is broken. Anything else is an outage, which passes.
    pub(crate) fn is_poison(&self) -> bool {
        match self {
            Self::Overflow
            | Self::MissingRows { .. }
            | Self::RowExists { .. }
            | Self::Database(sqlx::Error::Encode(_)) => true,
            Self::Database(error) => error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code)
                .is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class))),
        }
    }

    /// Checks that an update found every row that it was about.
    pub(crate) fn unless_all(
        table: &'static str,
        expected: usize,
        done: &sqlx::postgres::PgQueryResult,
    ) -> Result<(), Self> {
        let found = done.rows_affected();
        if usize::try_from(found) == Ok(expected) {
            return Ok(());
        }
        Err(Self::MissingRows { table, expected, found })
    }
}
