//! How a read gets its connection. Reading changes nothing, so that a read whose connection broke is simply made again
//! on another one, and a read whose reader went away or stopped looking still runs to its end and gives its
//! connection back.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{
    Connection, PgConnection, Postgres,
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
};

use super::{
    super::{
        failure::{self, Blame},
        names::Names,
    },
    Reader,
};
use crate::StoreError;

/// A connection that lay idle for longer is asked whether it still lives before it is used.
pub(in crate::postgres) const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

impl Reader {
    /// Connects when it is first used.
    pub(in crate::postgres) fn new(
        options: PgConnectOptions,
        connections: u32,
        acquire_timeout: Duration,
        timeout: Duration,
    ) -> Self {
        let names = Names::new();
        let known = names.clone();
        let pool = PgPoolOptions::new()
            // A database that was restored from a copy goes on numbering from there.
            .after_connect(move |_, _| {
                known.forget();
                Box::pin(async { Ok(()) })
            })
            .max_connections(connections)
            .acquire_timeout(acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Self { pool, timeout, attempts: connections + 1, names }
    }

    /// Takes no more reads, and waits a little for those that run.
    pub(in crate::postgres) async fn close(&self) {
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.pool.close()).await;
    }

    /// The rows of a query, which runs as a task of its own.
    pub(in crate::postgres) async fn rows(
        &self,
        doing: &'static str,
        query: impl Fn() -> Query<'static, Postgres, PgArguments> + Send + Sync + 'static,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.run(doing, move |connection| Box::pin(query().fetch_all(connection))).await
    }

    /// Reads as a task of its own: a follower that nobody polls must not keep a connection.
    pub(in crate::postgres) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.clone();
        let task = tokio::spawn(async move { reader.run_here(doing, read).await });
        let read = task.await.unwrap_or_else(|error| Err(failure::unavailable(doing, &error).into()));
        read.map_err(|failed| failed.error)
    }

    /// Reads, and again when the connection turns out to be broken.
    pub(in crate::postgres) async fn run_here<T>(
        &self,
        doing: &'static str,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>,
    ) -> Result<T, Failed> {
        self.run_over(&mut None, doing, read).await
    }

    /// Reads over the connection that is held, if one is, and holds the one that it took.
    pub(in crate::postgres) async fn run_over<T>(
        &self,
        held: &mut Option<PoolConnection<Postgres>>,
        doing: &'static str,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>,
    ) -> Result<T, Failed> {
        let mut attempt = 1;
        loop {
            let mut connection = match held.take() {
                Some(held) => held,
                None => self.pool.acquire().await.map_err(|error| failure::unavailable(doing, &error))?,
            };
            match tokio::time::timeout(self.timeout, read(&mut connection)).await {
                Ok(Ok(read)) => {
                    *held = Some(connection);
                    return Ok(read);
                }
                Ok(Err(error)) if failure::blame(&error) == Blame::Connection && attempt < self.attempts => {
                    attempt += 1;
                    connection.close_on_drop();
                }
                Ok(Err(error)) => {
                    // It may be in the middle of something: of a copy that is refused, the library leaves an answer
                    // unread, which the next query would take for its own.
                    connection.close_on_drop();
                    let refused = error.as_database_error().is_some();
                    return Err(Failed { error: failure::of_read(doing, &error), refused });
                }
                Err(_) => {
                    connection.close_on_drop();
                    return Err(failure::timed_out(doing).into());
                }
            }
        }
    }
}

/// What is read over a connection.
pub(in crate::postgres) type Reading<'c, T> = BoxFuture<'c, Result<T, sqlx::Error>>;

/// Why a query has no answer.
pub(in crate::postgres) struct Failed {
    pub(in crate::postgres) error: StoreError,
    /// The server has answered, and refused it: something of what was asked for may be to blame.
    pub(in crate::postgres) refused: bool,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self { error, refused: false }
    }
}
