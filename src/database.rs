//! The one database that everything is kept in, but for a log that a setting places elsewhere: a private
//! server in the data directory, or one that was given. Opening it brings every room's schema up to date
//! before anything reads or writes.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use platform::postgres::{self, Databases, Passwords, embedded, provision};
use sqlx::{ConnectOptions, Connection, migrate::MigrateError, postgres::PgConnectOptions};

use crate::{config::Settings, log::Log};

/// The name of the database on its server, unless the given URL names another.
const NAME: &str = "counterfoil";

/// How long a process that is to join another one's server waits for it to be there.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);

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
        let may_join = !settings.runs_all() || settings.provider_url.is_some();
        let (roles, server) = match &settings.database_url {
            Some(url) => (given(settings, "database_url", url).await?, None),
            None => embedded(settings, may_join).await?,
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

    /// The end of the private server that was joined, which this process cannot outlive; `None` where it
    /// joined none.
    pub fn end_of_joined(&self, settings: &Settings) -> Option<impl Future<Output = ()> + use<>> {
        let joined = settings.database_url.is_none() && self.server.is_none();
        let (data_dir, port) = (settings.data_dir.clone(), self.roles.service.get_port());
        joined.then_some(async move { embedded::until_left(&data_dir, port).await })
    }

    /// Stops the private server, if there is one. Everything that uses it has to be gone.
    pub fn close(self) -> Result<()> {
        match self.server {
            Some(server) => server.stop().context("cannot stop the embedded Postgres"),
            None => Ok(()),
        }
    }
}

/// The private server in the data directory: that of another process, where there is one and it may be
/// joined, else our own. Of several processes that start at once one starts it, and the others join.
async fn embedded(settings: &Settings, may_join: bool) -> Result<(Databases, Option<embedded::Server>)> {
    let deadline = Instant::now() + JOIN_PATIENCE;
    loop {
        if may_join && let Some(roles) = attach(settings).await? {
            tracing::info!(data_dir = %settings.data_dir.display(), "joined the embedded Postgres of another process, and ends with that one");
            return Ok((roles, None));
        }
        match embedded::Server::start(&settings.data_dir).await {
            Ok(server) => {
                let roles = server.databases(NAME).await.context("cannot prepare the embedded Postgres")?;
                return Ok((roles, Some(server)));
            }
            // Whoever has it is about to start the server, or to stop it.
            Err(postgres::Error::InUse { .. }) if may_join && Instant::now() < deadline => {}
            Err(error) => return Err(error).context("cannot start the embedded Postgres"),
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
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let admin = PgConnectOptions::from_str(url)
        .ok()
        .filter(|_| is_postgres)
        .with_context(|| format!("{blamed} is not a URL like postgres://user:password@host:5432/name"))?;
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
    let migrated = async {
        migrate_all(roles).await?;
        // Before this process writes a single one of them.
        let announced = platform::releases::announce(&roles.service, events::vocabulary()).await;
        announced.context("cannot write down which events this release can read")
    };
    let migrated = migrated.await;
    turn.close().await.context(doing)?;
    migrated
}

async fn migrate_all(roles: &Databases) -> Result<()> {
    event_store::postgres::migrate(&roles.owner).await.context("cannot migrate the event store")?;
    platform::keys::migrate(&roles.owner).await.context("cannot migrate the person keys")?;
    platform::releases::migrate(&roles.owner).await.context("cannot migrate what releases can read")?;
    write_side::snapshots::migrate(&roles.owner).await.context("cannot migrate the snapshots of streams")?;
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
