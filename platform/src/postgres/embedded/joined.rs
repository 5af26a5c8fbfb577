//! The server that another living process runs on a data directory: how to reach it, and when it is gone.

use std::{path::Path, time::Duration};

use super::{cluster::Cluster, lock, superuser};
use crate::postgres::{Databases, Error, Passwords, provision};

/// How often a process looks whether the server that it joined is still there.
const WATCH: Duration = Duration::from_secs(1);

/// How to reach the database `name` of the server that another living process runs on this data
/// directory, if one does. For commands and roles that work beside a running service.
pub async fn attach(data_dir: &Path, name: &str) -> Result<Option<Databases>, Error> {
    if !lock::is_taken(data_dir)? {
        return Ok(None);
    }
    let running = Cluster::of(data_dir).postmaster().filter(|postmaster| postmaster.ready);
    let Some(postmaster) = running else { return Ok(None) };
    let passwords = Passwords::load_or_generate(data_dir)?;
    Ok(Some(provision(&superuser(postmaster.port, &passwords), &passwords, name).await?))
}

/// Waits until the server that was joined at `port` is there no more: its process has ended, or another one
/// has taken its place.
pub async fn until_left(data_dir: &Path, port: u16) {
    let cluster = Cluster::of(data_dir);
    loop {
        tokio::time::sleep(WATCH).await;
        let is_taken = lock::is_taken(data_dir).unwrap_or(false);
        // A server that died is started again at its port, and meanwhile says nothing.
        let is_the_same = cluster.postmaster().is_none_or(|postmaster| postmaster.port == port);
        if !is_taken || !is_the_same {
            return;
        }
    }
}
