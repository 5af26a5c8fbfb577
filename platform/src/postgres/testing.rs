//! Databases for tests, on a real server. Each test binary has one private cluster, started by its
//! first test; it stops and its directory goes when the binary ends, however it ends.

use std::{
    env, fs,
    fs::OpenOptions,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::unistd::geteuid;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::OnceCell;

use super::{Databases, Error, during, embedded::Server, provision};

/// A new, empty database with all roles and their rights, on the server that this test binary shares.
///
/// # Panics
/// When there is no server or it refuses: a test can do nothing useful then.
#[allow(clippy::expect_used)]
pub async fn fresh_database() -> Databases {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let server = server().await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let admin = server.superuser().disable_statement_logging();
    let mut connection = admin.connect().await.expect("connect to the test server");
    provision::ensure_database(&mut connection, &name).await.expect("make a test database");
    connection.close().await.expect("close the connection that made a test database");
    provision::databases(&admin, server.passwords(), &name)
}

/// The server that this test binary shares. A test that stops or crashes it disturbs the others: take a
/// [`PrivateServer`] for that.
///
/// # Panics
/// When it cannot be started.
#[allow(clippy::expect_used)]
pub async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let server = start_in_new_directory().await.expect("start a server for the tests");
            server.databases("prepared").await.expect("make the roles of the test server");
            server
        })
        .await
}

/// A server for one test alone, which may stop, crash and resume it.
#[derive(Debug)]
pub struct PrivateServer {
    /// The server.
    pub server: Server,
    /// A database on it.
    pub databases: Databases,
}

impl PrivateServer {
    /// Starts one, with a database and all roles.
    ///
    /// # Panics
    /// When it cannot be started.
    #[allow(clippy::expect_used)]
    pub async fn start() -> Self {
        let server = start_in_new_directory().await.expect("start a server for this test");
        let databases = server.databases("counterfoil").await.expect("make a test database");
        Self { server, databases }
    }
}

async fn start_in_new_directory() -> Result<Server, Error> {
    tokio::task::spawn_blocking(|| {
        let root = env::temp_dir().join(format!("counterfoil-tests-{}", geteuid()));
        fs::create_dir_all(&root).map_err(during("create", &root))?;
        remove_stale(&root)?;
        let directory = tempfile::Builder::new()
            .prefix("cluster-")
            .tempdir_in(&root)
            .map_err(during("make a directory in", &root))?
            .keep();
        Server::start_blocking(&directory, Some(directory.clone()))
    })
    .await
    .map_err(|_| Error::Interrupted)?
}

/// Removes what test binaries left behind whose watchdog was killed with them: the directories that
/// nobody holds the lock of.
fn remove_stale(root: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(root).map_err(during("list", root))?.flatten() {
        let directory = entry.path();
        let Ok(lock) = OpenOptions::new().write(true).open(lock_path(&directory)) else { continue };
        if lock.try_lock().is_ok() {
            Server::stop_orphan_of(&directory)?;
            let _ = fs::remove_dir_all(&directory);
        }
    }
    Ok(())
}

fn lock_path(directory: &Path) -> PathBuf {
    directory.join("counterfoil.lock")
}
