//! Hears of what other processes append. A notification is a hint and may get lost; reading the head
//! every now and then is what followers rely on, and it also finds out when hints no longer arrive.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::reading::Reader;
use crate::follow::Wakes;

const CHANNEL: &str = "event_store_appended";

pub(super) struct Listener {
    /// Of one connection, which is held for as long as it lives.
    pool: PgPool,
    reader: Reader,
    wakes: Arc<Wakes>,
    poll_interval: Duration,
}

/// Why a connection is listened to no more.
#[derive(Debug, thiserror::Error)]
enum Deaf {
    #[error("the connection was lost")]
    Lost,
    #[error("there was news, but no notification of it")]
    Silent,
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
}

impl Listener {
    pub(super) fn new(
        options: PgConnectOptions,
        reader: Reader,
        wakes: Arc<Wakes>,
        poll_interval: Duration,
    ) -> Self {
        let pool =
            PgPoolOptions::new().max_connections(1).acquire_timeout(poll_interval).connect_lazy_with(options);
        Self { pool, reader, wakes, poll_interval }
    }

    /// Listens until it is stopped, whatever happens to the connection.
    pub(super) async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(Box::pin(self.listen())).await;
        self.pool.close().await;
    }

    async fn listen(&self) {
        let mut told = false;
        loop {
            let deaf = match self.connect().await {
                Ok(listener) => {
                    if told {
                        tracing::info!("notified of appends again");
                        told = false;
                    }
                    self.hear(listener).await
                }
                Err(error) => error.into(),
            };
            if !told {
                tracing::warn!(reason = %deaf, "not notified of appends; polling until that works again");
                told = true;
            }
            tokio::time::sleep(self.poll_interval).await;
            self.poll().await;
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }

    /// Passes on what it hears until it hears nothing any more.
    async fn hear(&self, mut listener: PgListener) -> Deaf {
        // What was appended before we listened.
        self.poll().await;
        let mut unheard_of_news = false;
        loop {
            let mut heard = false;
            let next_poll = Instant::now() + self.poll_interval;
            while let Ok(notification) = timeout_at(next_poll, listener.try_recv()).await {
                match notification {
                    Ok(Some(notification)) => {
                        heard = true;
                        if let Ok(head) = notification.payload().parse() {
                            self.wakes.raise(head);
                        }
                    }
                    Ok(None) => return Deaf::Lost,
                    Err(error) => return error.into(),
                }
            }
            let news = self.poll().await;
            // The notification of what was only just appended may still be on its way: a poll later it
            // is not.
            if unheard_of_news && !heard {
                return Deaf::Silent;
            }
            unheard_of_news = news && !heard;
        }
    }

    /// Looks for itself, and says whether there was news.
    async fn poll(&self) -> bool {
        match self.reader.head().await {
            Ok(head) => self.wakes.raise(head),
            // Whoever follows reads for itself, and hears of the outage there.
            Err(error) => {
                tracing::debug!(%error, "could not look for appends");
                false
            }
        }
    }
}
