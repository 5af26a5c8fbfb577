//! What is acknowledged has to be on disk while it is measured: a figure without that is of no use, and
//! there is none then.

use std::path::Path;

use anyhow::{Result, ensure};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

/// Fails when the server may lose what it has acknowledged.
pub(super) async fn check(service: &PgConnectOptions) -> Result<()> {
    let mut db = service.connect().await?;
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let value: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut db).await?;
        ensure!(value != "off", "{setting} is off on this server: there are no figures without it");
    }
    db.close().await?;
    Ok(())
}

/// Fails for a directory that is kept in memory.
pub(super) fn is_on_disk(directory: &Path) -> Result<()> {
    let in_memory = statfs(directory).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
    ensure!(
        !in_memory,
        "{} is in memory, where nothing is durable: choose a --data-dir on a disk",
        directory.display()
    );
    Ok(())
}
