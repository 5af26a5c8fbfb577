//! What an error of Postgres or of the way to it means for the log: a fault of the engine, which may
//! pass, or of what it was given, which will not.

use std::fmt;

use crate::StoreError;

/// What a failed statement says about trying it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The engine or the machine. Trying again may help.
    Engine,
    /// The connection that was used; another one may be fine.
    Connection,
    /// What is in the log, or was to be written: a constraint was broken, a value was refused. Trying
    /// again is no use.
    Content,
}

/// `Unavailable`, with everything that the error has to say about its cause.
pub(super) fn unavailable(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> StoreError {
    StoreError::Unavailable { doing, reason: Chain(error).to_string() }
}

/// `Unavailable` for the want of an answer.
pub(super) fn timed_out(doing: &'static str) -> StoreError {
    StoreError::Unavailable { doing, reason: "there was no answer in time".to_owned() }
}

/// The codes are those of the PostgreSQL manual, appendix A.
pub(super) fn blame(error: &sqlx::Error) -> Blame {
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => return Blame::Connection,
        sqlx::Error::Encode(_) => return Blame::Content,
        _ => return Blame::Engine,
    };
    let code = error.code().unwrap_or_default();
    match code.get(..2).unwrap_or_default() {
        // Data exceptions, broken constraints, limits of the program.
        "22" | "23" | "54" => Blame::Content,
        // Connection exceptions, and an operator who stops the server; but not a statement that took
        // too long.
        "08" | "57" if code != "57014" => Blame::Connection,
        _ => Blame::Engine,
    }
}

/// What a failed read means. A row that cannot be understood was not written by an append.
pub(super) fn of_read(doing: &'static str, error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
            StoreError::Corrupt { reason: format!("while {doing}: {}", Chain(error)) }
        }
        sqlx::Error::Database(refused) if matches!(refused.code().as_deref(), Some("42P01" | "3F000")) => {
            let reason = format!("{}; has the database been migrated?", Chain(error));
            StoreError::Unavailable { doing, reason }
        }
        error => unavailable(doing, error),
    }
}

/// An error with its causes, in one line, each said once.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !said.contains(&more) {
                said.push_str(": ");
                said.push_str(&more);
            }
            cause = error.source();
        }
        f.write_str(&said)
    }
}
