//! What a thing costs the database: how often its log was forced to the disk, how many transactions were
//! made, and how many events were written.

use std::time::Instant;

use anyhow::Result;
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

use super::report::grouped;

/// The counters of the server at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    fsyncs: i64,
    wal_bytes: i64,
    transactions: i64,
    events: i64,
    at: Instant,
}

impl Budget {
    /// Reads them. The server brings them up to date about once a second.
    pub(super) async fn read(owner: &PgConnectOptions) -> Result<Self> {
        let mut db = owner.connect().await?;
        let (fsyncs, wal_bytes, transactions, events) = sqlx::query_as(
            "select wal_sync, wal_bytes::bigint,
                 (select xact_commit from pg_stat_database where datname = current_database()),
                 (select position from event_store.head)
             from pg_stat_wal",
        )
        .fetch_one(&mut db)
        .await?;
        db.close().await?;
        Ok(Self { fsyncs, wal_bytes, transactions, events, at: Instant::now() })
    }

    /// What was spent since an earlier moment, for each of `count` things.
    pub(super) fn since(&self, earlier: &Self, count: u64) -> Spent {
        #[allow(clippy::cast_precision_loss, reason = "averages")]
        let (each, seconds) = (
            |now: i64, then: i64| (now - then) as f64 / count.max(1) as f64,
            (self.at - earlier.at).as_secs_f64().max(1e-9) / count.max(1) as f64,
        );
        Spent {
            events: each(self.events, earlier.events),
            transactions: each(self.transactions, earlier.transactions),
            fsyncs: each(self.fsyncs, earlier.fsyncs),
            wal_kib: each(self.wal_bytes, earlier.wal_bytes) / 1024.0,
            fsyncs_a_second: each(self.fsyncs, earlier.fsyncs) / seconds,
        }
    }
}

/// What one thing cost, on average.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) events: f64,
    transactions: f64,
    fsyncs: f64,
    wal_kib: f64,
    pub(super) fsyncs_a_second: f64,
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} events, {} transactions, {:.2} fsyncs and {} KiB of the server's own log",
            grouped(self.events),
            grouped(self.transactions),
            self.fsyncs,
            grouped(self.wal_kib)
        )
    }
}
