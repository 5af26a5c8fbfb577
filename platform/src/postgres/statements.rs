//! Connections for statements that stand for themselves.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::{Connection, PgConnection, error::DatabaseError, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use super::pool::TRUSTED_IDLE;

/// How old a connection gets: what a server keeps for it grows with what is done over it.
const AGE_MAX: Duration = Duration::from_mins(30);

/// How long to wait before a server that is being started is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Connections for many short statements, of which each takes one and gives it back. **Nothing is asked of a
/// connection on its way in or out** while it is in use, where the pool of sqlx makes a round trip for each
/// statement to see whether a connection that is given back still lives. Only where something failed, or was given up
/// before its end, is that waited for behind the back of whoever gave up, so that the server has no more to do at once
/// than there are connections; what takes longer than anybody waits for a connection costs its own. Connections stay
/// open when nobody needs them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Statements {
    pool: Pool<Connecting>,
    patience: Duration,
}

impl Statements {
    /// So many connections at most, each made when it is needed. Whoever gets none within `patience` is told so, and
    /// somebody also why.
    pub fn over(options: PgConnectOptions, connections_max: usize, patience: Duration) -> Self {
        // Those that were used a moment ago are asked nothing, and have their statements planned.
        let pool =
            Pool::builder(Connecting { options, refused: Mutex::default() }).queue_mode(QueueMode::Lifo);
        let Ok(pool) = pool.max_size(connections_max).build() else {
            unreachable!("timeouts need a runtime, and it has none")
        };
        Self { pool, patience }
    }

    /// Runs a statement, or a few that belong together.
    pub async fn run<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let asked = Instant::now();
        let lent = match timeout(self.patience, self.pool.get()).await {
            Ok(Ok(lent)) => lent,
            Ok(Err(PoolError::Backend(error))) => return Err(error),
            Ok(Err(_)) => return Err(sqlx::Error::PoolClosed),
            Err(_) => {
                return Err(self.pool.manager().refused_since(asked).unwrap_or(sqlx::Error::PoolTimedOut));
            }
        };
        let mut lent = InUse { lent: Some(lent), patience: self.patience };
        let Some(Some(connection)) = lent.lent.as_deref_mut() else { return Err(sqlx::Error::PoolClosed) };
        let done = statement(connection).await?;
        lent.lent = None;
        Ok(done)
    }
}

/// A connection over which something was begun.
struct InUse {
    lent: Option<Object<Connecting>>,
    patience: Duration,
}

impl Drop for InUse {
    /// It did not come to its end.
    fn drop(&mut self) {
        let Some(mut lent) = self.lent.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(settle(lent, self.patience))),
            Err(_) => *lent = None,
        }
    }
}

/// Gives a connection back when the server is done with what was begun over it, or closes it when that takes too long.
async fn settle(mut lent: Object<Connecting>, patience: Duration) {
    let Some(connection) = lent.as_mut() else { return };
    if !matches!(timeout(patience, connection.ping()).await, Ok(Ok(()))) {
        *lent = None;
    }
}

/// Makes connections, and tells which may be used again.
#[derive(Debug)]
struct Connecting {
    options: PgConnectOptions,
    /// Why one could not be made, the last time that was so.
    refused: Mutex<Option<(Instant, sqlx::Error)>>,
}

impl Connecting {
    fn note(&self, refused: sqlx::Error) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), refused));
    }

    /// Why none could be made since then, if nobody was told yet.
    fn refused_since(&self, then: Instant) -> Option<sqlx::Error> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.filter(|(when, _)| *when >= then).map(|(_, error)| error)
    }
}

impl Manager for Connecting {
    /// None is left of one that was closed.
    type Type = Option<PgConnection>;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Option<PgConnection>, sqlx::Error> {
        loop {
            match PgConnection::connect_with(&self.options).await {
                Err(error) if will_pass(&error) => self.note(error),
                connected => return connected.map(Some),
            }
            sleep(ASK_AGAIN).await;
        }
    }

    async fn recycle(&self, kept: &mut Option<PgConnection>, used: &Metrics) -> RecycleResult<sqlx::Error> {
        let Some(connection) = kept else { return Err(RecycleError::message("it is gone")) };
        if used.age() > AGE_MAX {
            return Err(RecycleError::message("it is too old"));
        }
        if used.last_used() > TRUSTED_IDLE {
            connection.ping().await?;
        }
        Ok(())
    }
}

/// Whether a server that refuses a connection like this may take one soon: it is being started, or serves as many as
/// it can.
fn will_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        error => {
            let code = error.as_database_error().and_then(DatabaseError::code);
            matches!(code.as_deref(), Some("57P03" | "53300"))
        }
    }
}

#[cfg(test)]
mod tests;
