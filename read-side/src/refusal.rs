//! What the query API refuses, and how an outage of its database is said.

use std::{borrow::Cow, time::Duration};

use platform::problem::{INTERNAL, INVALID_REQUEST, NOT_FOUND, Problem, UNAVAILABLE};
use projections::Position;
use serde_json::json;
use sqlx::error::DatabaseError;

platform::problem_types! {
    /// What only the query API answers.
    pub const TYPES;

    /// The read model has not got to the position that `Counterfoil-At-Least` asks for. Ask again, or
    /// let the server wait for it with `Prefer: wait=<seconds>`.
    NOT_FRESH_ENOUGH = 503 "not-fresh-enough" "The read model is not that fresh yet";

    /// More clients follow orders live than this server serves. Ask again later.
    TOO_MANY_STREAMS = 503 "too-many-streams" "Too many clients follow orders live";
}

/// When to ask again after an outage.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// There is nothing by this id.
pub(crate) fn not_found(what: &str) -> Problem {
    Problem::new(&NOT_FOUND).detail(format!("there is no such {what}"))
}

/// The code of an error of which the database told.
fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// More is looked up than the read models answer in time.
pub(crate) fn crowded() -> Problem {
    tracing::warn!("more is asked for by id than is found in time");
    unavailable()
}

/// Whether a query failed because the database was not there for it, or not in time.
pub(crate) fn is_outage(error: &sqlx::Error) -> bool {
    let Some(code) = code(error) else {
        return matches!(
            error,
            sqlx::Error::PoolTimedOut
                | sqlx::Error::Io(_)
                | sqlx::Error::PoolClosed
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed
        );
    };
    // 42P01 and 3F000: the read models have not been made yet.
    ["08", "53", "57", "55", "40"].iter().any(|class| code.starts_with(class))
        || ["42P01", "3F000", "28000", "28P01", "42501"].contains(&&*code)
}

/// A query failed: the database cannot be reached or is too busy, it cannot take a value that was
/// asked for, or we are wrong.
pub(crate) fn failed(error: sqlx::Error) -> Problem {
    match error {
        sqlx::Error::PoolTimedOut => {
            tracing::warn!("no connection to the read models was free in time");
            unavailable()
        }
        error if is_outage(&error) => {
            tracing::error!(%error, "the read models cannot be asked");
            unavailable()
        }
        error if code(&error).is_some_and(|code| code.starts_with("22")) => {
            tracing::debug!(%error, "a value that no column can hold was asked for");
            Problem::new(&INVALID_REQUEST).detail("a value is out of range")
        }
        error => {
            tracing::error!(%error, "a query failed");
            Problem::new(&INTERNAL)
        }
    }
}

fn unavailable() -> Problem {
    Problem::new(&UNAVAILABLE).retry_after(RETRY_AFTER)
}

/// The read model is not at the position that was asked for.
pub(crate) fn not_fresh_enough(current: Position, wanted: Position) -> Problem {
    Problem::new(&NOT_FRESH_ENOUGH)
        .detail(format!("the read model is at position {current}, not yet at {wanted}"))
        .with("position", json!(current))
        .with("at_least", json!(wanted))
        .retry_after(RETRY_AFTER)
}

/// Too many clients follow orders.
pub(crate) fn too_many_streams() -> Problem {
    Problem::new(&TOO_MANY_STREAMS).retry_after(Duration::from_secs(5))
}
