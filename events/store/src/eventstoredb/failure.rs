//! What a failed call says about the log: whether trying again may help, and whether an append can have
//! been made all the same.

use eventstore::Error;

use super::session::Failure;
use crate::StoreError;

/// How the server words that a batch is over its limit; the client has no error of its own for it.
const TOO_LARGE: &str = "Maximum Append Size";

/// What to do after a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The server, or the way to it: trying again may help. An append can have been made.
    Passing,
    /// Who asked, or what was asked for: trying again is no use. Nothing was written.
    Lasting,
}

pub(super) fn blame(failure: &Failure) -> Blame {
    match failure {
        Failure::Client(
            Error::AccessDenied
            | Error::UnsupportedFeature
            | Error::ResourceDeleted
            | Error::InitializationError(_)
            | Error::WrongExpectedVersion { .. },
        ) => Blame::Lasting,
        Failure::Client(Error::Grpc { message, .. }) if message.contains(TOO_LARGE) => Blame::Lasting,
        Failure::Client(_) | Failure::TimedOut | Failure::Panicked(_) => Blame::Passing,
    }
}

/// Whether the server refused an append for its size.
pub(super) fn is_too_large(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::Client(Error::Grpc { message, .. }) if message.contains(TOO_LARGE) => Some(message),
        Failure::Client(_) | Failure::TimedOut | Failure::Panicked(_) => None,
    }
}

/// The failure as callers of the port know it.
pub(super) fn of_store(doing: &'static str, failure: &Failure) -> StoreError {
    match failure {
        Failure::Client(Error::ResourceDeleted) => {
            StoreError::Corrupt { reason: format!("while {doing}: the stream was deleted") }
        }
        failure => StoreError::Unavailable { doing, reason: failure.to_string() },
    }
}
