//! The one database that everything is kept in, but for a log that a setting places elsewhere: a private
//! server in the data directory, or one that was given. Opening it brings every room's schema up to date
//! before anything reads or writes.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use platform::postgres::{Databases, Passwords, embedded, provision};
use sqlx::{ConnectOptions, Connection, migrate::MigrateError, postgres::PgConnectOptions};

use crate::{config::Settings, log::Log};

/// The name of the database on its server, unless the given URL names another.
const NAME: &str = "counterfoil";

/// Any number that no other program in the same database would choose for its own lock.
const MIGRATING: i64 = 0x4d49_4752_4154_4521;

/// An open database with all schemas in place.
#[derive(Debug)]
pub struct Database {
    /// How each role reaches it.
    pub roles: Databases,
    /// Where the log is.
    pub log: Log,
    server: Option<embedded::Server>,
}

impl Database {
    /// Starts the private server or finds the given one, makes roles and database, and migrates. A process
    /// that runs some of the roles joins the private server of another that runs others.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let joined = if settings.runs_all() { None } else { attach(settings).await? };
        let (roles, server) = match (&settings.database_url, joined) {
            (Some(url), _) => (given(settings, "database_url", url).await?, None),
            (None, Some(roles)) => {
                tracing::info!(data_dir = %settings.data_dir.display(), "joining the embedded Postgres of another process; it ends with that one");
                (roles, None)
            }
            (None, None) => {
                let server = embedded::Server::start(&settings.data_dir)
                    .await
                    .context("cannot start the embedded Postgres")?;
                (server.databases(NAME).await.context("cannot prepare the embedded Postgres")?, Some(server))
            }
        };
        migrate(&roles).await.map_err(|error| of_a_newer_release(error, settings))?;
        let log = place_log(settings, &roles).await?;
        Ok(Self { roles, log, server })
    }

    /// The same for a command that can work beside a running server: joins its private Postgres if there
    /// is one, and leaves it running.
    pub async fn open_or_attach(settings: &Settings) -> Result<Self> {
        match attach(settings).await? {
            Some(roles) => {
                let log = place_log(settings, &roles).await?;
                Ok(Self { roles, log, server: None })
            }
            None => Self::open(settings).await,
        }
    }

    /// Whether the database is the private one of this process, so that whoever comes after it there is
    /// its successor.
    pub fn is_ours_alone(&self) -> bool {
        self.server.is_some()
    }

    /// Stops the private server, if there is one. Everything that uses it has to be gone.
    pub fn close(self) -> Result<()> {
        match self.server {
            Some(server) => server.stop().context("cannot stop the embedded Postgres"),
            None => Ok(()),
        }
    }
}

/// The private server of another process, if one runs in the data directory.
async fn attach(settings: &Settings) -> Result<Option<Databases>> {
    if settings.database_url.is_some() {
        return Ok(None);
    }
    let attached = embedded::attach(&settings.data_dir, NAME).await;
    attached.context("cannot reach the embedded Postgres of the running server")
}

/// Where the log is: a database that a URL names is made and brought up to date like the one beside it.
async fn place_log(settings: &Settings, roles: &Databases) -> Result<Log> {
    let name = "event_store_url";
    let Some(url) = &settings.event_store_url else { return Ok(Log::Postgres(Box::new(roles.clone()))) };
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => {
            let databases = given(settings, name, url).await?;
            let migrated = event_store::postgres::migrate(&databases.owner).await;
            migrated
                .with_context(|| {
                    format!("cannot migrate the event store that {} names", settings.blame(name))
                })
                .map_err(|error| of_a_newer_release(error, settings))?;
            Ok(Log::Postgres(Box::new(databases)))
        }
        Some("memory") => bail!(
            "{} names a store in memory, which is for tests: it would lose every order. Name a server              (esdb://… or postgres://…), or nothing, and the log is in the database",
            settings.blame(name)
        ),
        Some(_) | None => Ok(Log::Elsewhere { url: url.clone() }),
    }
}

/// The database that a setting names, with its roles.
async fn given(settings: &Settings, name: &'static str, url: &str) -> Result<Databases> {
    let blamed = settings.blame(name);
    // The URL may hold a password: neither it nor the parser's view of it is shown.
    let admin = PgConnectOptions::from_str(url)
        .map_err(|_| anyhow::anyhow!("{blamed} is not a URL like postgres://user:password@host:5432/name"))?;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("cannot make the directory {}", settings.data_dir.display()))?;
    let passwords = Passwords::load_or_generate(&settings.data_dir).with_context(|| {
        format!("cannot keep the passwords of the database roles in {}", settings.data_dir.display())
    })?;
    let database = admin.get_database().unwrap_or(NAME).to_owned();
    let provisioned = provision(&admin, &passwords, &database).await;
    provisioned.with_context(|| format!("cannot prepare the database that {blamed} names"))
}

/// One process at a time: statements that make what is missing get in each other's way in the catalogs.
async fn migrate(roles: &Databases) -> Result<()> {
    let doing = "cannot wait for another process that migrates this database";
    let mut turn = roles.owner.connect().await.context(doing)?;
    sqlx::query("select pg_advisory_lock($1)").bind(MIGRATING).execute(&mut turn).await.context(doing)?;
    let migrated = migrate_all(roles).await;
    turn.close().await.context(doing)?;
    migrated
}

async fn migrate_all(roles: &Databases) -> Result<()> {
    event_store::postgres::migrate(&roles.owner).await.context("cannot migrate the event store")?;
    platform::keys::migrate(&roles.owner).await.context("cannot migrate the person keys")?;
    sagas::coordinator::migrate(&roles.owner).await.context("cannot migrate the coordinator's tables")?;
    sagas::gateway::sandbox::migrate(&roles.owner)
        .await
        .context("cannot migrate the sandbox provider's books")?;
    relay::migrate(&roles.owner).await.context("cannot migrate the relay's checkpoint")?;
    projections::migrate(&roles.owner).await.context("cannot migrate the registry of read models")?;
    crate::log::migrate(&roles.owner).await.context("cannot migrate what is known of the log")
}

/// Says it where the database was made by a release that knows more migrations than this one. Such a release
/// may be at work on it, so this one keeps away.
fn of_a_newer_release(error: anyhow::Error, settings: &Settings) -> anyhow::Error {
    let unknown = error.chain().find_map(|cause| match cause.downcast_ref::<MigrateError>()? {
        MigrateError::VersionMissing(version) => Some(*version),
        _ => None,
    });
    let Some(version) = unknown else { return error };
    let database = match &settings.database_url {
        Some(_) => format!("the database that {} names", settings.blame("database_url")),
        None => format!("the database in {}", settings.data_dir.display()),
    };
    error.context(format!(
        "{database} was brought up to date by a newer release of Counterfoil: it has a migration {version} \
         that this one does not know. Start that release, or a newer one"
    ))
}
