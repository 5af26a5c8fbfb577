//! Pools of connections.

use std::time::Duration;

use sqlx::{Connection, postgres::PgPoolOptions};

/// A connection that lay idle for longer is asked whether it still lives before it is used.
pub(super) const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Options of a pool for many short statements. **A connection that was used a moment ago is not asked whether it
/// still lives**, which would double the round trips: right after a server is gone a statement fails instead of
/// being sent over another connection, and whoever sent it tries again, as when it is gone in the middle.
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().test_before_acquire(false).before_acquire(|connection, meta| {
        Box::pin(async move {
            if meta.idle_for > TRUSTED_IDLE {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}
