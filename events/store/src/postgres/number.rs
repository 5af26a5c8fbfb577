//! Revisions and positions as Postgres counts them, in 63 bits.

/// As a `bigint`. What is beyond it is beyond any log, and so is the largest `bigint`.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// From a `bigint`, which is never negative in the log.
pub(super) fn from_sql(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
