//! Revisions and positions as Postgres counts them, in 63 bits.

use crate::Position;

/// As a `bigint`. What is beyond it is beyond any log, and so is the largest `bigint`.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// From a `bigint`, which is never negative in the log.
pub(super) fn from_sql(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Positions are dense from 1, and the number of an event is its place in that count.
pub(super) fn position_to_sql(position: Position) -> i64 {
    to_sql(position.number())
}

/// From the column of the log.
pub(super) fn position_from_sql(column: i64) -> Result<Position, sqlx::Error> {
    from_sql(column).map(Position::of)
}
