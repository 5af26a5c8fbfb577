//! Postgres as this system uses it: one database, four roles, and no role with more rights than its
//! part needs. The server is either one that was given, or a private one that we run ourselves.

mod binaries;
pub mod embedded;
mod passwords;
mod pool;
mod provision;
mod schema;
mod statements;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::{fmt, io, path::PathBuf, time::Duration};

use sqlx::postgres::PgConnectOptions;

pub use passwords::Passwords;
pub use pool::pool_options;
pub use provision::provision;
pub use schema::migrate;
pub use statements::Statements;

/// The role that owns the schemas and runs the migrations.
pub const OWNER: &str = "counterfoil_owner";
/// The role of the write side and the sagas: appends and reads events.
pub const SERVICE: &str = "counterfoil_service";
/// The role of the projectors: reads events, owns the read models.
pub const PROJECTOR: &str = "counterfoil_projector";
/// The role of the query API: can only read.
pub const READER: &str = "counterfoil_reader";

/// How each role reaches the one database.
#[derive(Clone)]
pub struct Databases {
    /// Runs migrations; see [`OWNER`].
    pub owner: PgConnectOptions,
    /// See [`SERVICE`].
    pub service: PgConnectOptions,
    /// See [`PROJECTOR`].
    pub projector: PgConnectOptions,
    /// See [`READER`].
    pub reader: PgConnectOptions,
}

impl Databases {
    /// The same database and roles, reached through something that listens elsewhere (a proxy).
    #[must_use]
    pub fn through(&self, host: &str, port: u16) -> Self {
        let reach = |options: &PgConnectOptions| options.clone().host(host).port(port);
        Self {
            owner: reach(&self.owner),
            service: reach(&self.service),
            projector: reach(&self.projector),
            reader: reach(&self.reader),
        }
    }
}

impl fmt::Debug for Databases {
    /// Names the place only: the options hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.owner.get_host(), self.owner.get_port());
        write!(f, "Databases({host}:{port}/{})", self.owner.get_database().unwrap_or_default())
    }
}

/// Why there is no database to work with. Each says what to do about it where we know.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server binaries that are new enough.
    #[error(
        "no PostgreSQL {minimum} or later was found (looked in {searched}); `make setup` installs it, or name \
         a database with --database-url"
    )]
    NoServerFound {
        /// The oldest major version that will do.
        minimum: u32,
        /// The places, as text for a person.
        searched: String,
    },
    /// The cluster was made by another major version.
    #[error(
        "the cluster in {} was made by PostgreSQL {cluster}, and only {found} is installed; install PostgreSQL \
         {cluster}, or move that directory away to begin anew",
        .directory.display()
    )]
    OtherMajorVersion {
        /// Where the cluster is.
        directory: PathBuf,
        /// Its major version.
        cluster: u32,
        /// What is installed, as text for a person.
        found: String,
    },
    /// Another process runs its server on this data directory.
    #[error("the data directory {} is in use by process {pid}; stop that one first", .directory.display())]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The process, or what its lock file says.
        pid: String,
    },
    /// We are root, and there is nobody to run the server as.
    #[error("running as root, and there is no user `postgres` or `nobody` to run the database server as")]
    NoUnprivilegedUser,
    /// The unprivileged user of the server cannot get to the data directory.
    #[error(
        "the database server runs as user {user}, who may not pass through {}; choose a --data-dir elsewhere \
         (for root /var/lib/counterfoil is usual), or allow it with `chmod o+x {}`",
        .obstacle.display(), .obstacle.display()
    )]
    Unreachable {
        /// Who the server runs as.
        user: String,
        /// The directory that stops it.
        obstacle: PathBuf,
    },
    /// The server of an earlier process does not stop.
    #[error("a database server of an earlier run (process {pid}) did not stop within {waited:?}")]
    OrphanStays {
        /// The server's process.
        pid: i32,
        /// How long we waited.
        waited: Duration,
    },
    /// `initdb` failed.
    #[error("initdb could not make a cluster in {}: {output}", .directory.display())]
    Initdb {
        /// Where.
        directory: PathBuf,
        /// What it said.
        output: String,
    },
    /// The server ended, or was not ready in time.
    #[error("the database server did not become ready: {reason}; its log ends with: {log}")]
    NotReady {
        /// What we saw.
        reason: String,
        /// The end of its log.
        log: String,
    },
    /// A role is there already, with a password that we do not know.
    #[error(
        "the role {role} exists already with another password; copy {} from where it was made, or drop the role",
        .passwords.display()
    )]
    UnknownPassword {
        /// Which role.
        role: &'static str,
        /// Where the password would be kept.
        passwords: PathBuf,
    },
    /// The kept passwords cannot be read.
    #[error("{} is damaged", .path.display())]
    PasswordsDamaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A file could not be read, written or made.
    #[error("could not {action} {}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database refused something.
    #[error("could not {action}")]
    Sql {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: sqlx::Error,
    },
    /// The work was dropped because the runtime is going down.
    #[error("interrupted while starting the database server")]
    Interrupted,
}

/// Gives an I/O error its action and path: `fs::read(&path).map_err(during("read", &path))`.
fn during<'a>(action: &'static str, path: &'a std::path::Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_owned(), source }
}
