//! The one database that everything is kept in: a private server in the data directory, or one that was
//! given. Opening it brings every room's schema up to date before anything reads or writes.

use std::str::FromStr;

use anyhow::{Context, Result};
use platform::postgres::{Databases, Passwords, embedded, provision};
use sqlx::postgres::PgConnectOptions;

use crate::config::Settings;

/// The name of the database on its server, unless the given URL names another.
const NAME: &str = "counterfoil";

/// An open database with all schemas in place.
#[derive(Debug)]
pub struct Database {
    /// How each role reaches it.
    pub roles: Databases,
    server: Option<embedded::Server>,
}

impl Database {
    /// Starts the private server or finds the given one, makes roles and database, and migrates.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let (roles, server) = match &settings.database_url {
            Some(url) => (given(settings, url).await?, None),
            None => {
                let server = embedded::Server::start(&settings.data_dir)
                    .await
                    .context("cannot start the embedded Postgres")?;
                (server.databases(NAME).await.context("cannot prepare the embedded Postgres")?, Some(server))
            }
        };
        migrate(&roles).await?;
        Ok(Self { roles, server })
    }

    /// The same for a command that can work beside a running server: joins its private Postgres if there
    /// is one, and leaves it running.
    pub async fn open_or_attach(settings: &Settings) -> Result<Self> {
        if settings.database_url.is_none() {
            let attached = embedded::attach(&settings.data_dir, NAME).await;
            if let Some(roles) =
                attached.context("cannot reach the embedded Postgres of the running server")?
            {
                return Ok(Self { roles, server: None });
            }
        }
        Self::open(settings).await
    }

    /// Stops the private server, if there is one. Everything that uses it has to be gone.
    pub fn close(self) -> Result<()> {
        match self.server {
            Some(server) => server.stop().context("cannot stop the embedded Postgres"),
            None => Ok(()),
        }
    }
}

async fn given(settings: &Settings, url: &str) -> Result<Databases> {
    // The URL may hold a password: neither it nor the parser's view of it is shown.
    let admin = PgConnectOptions::from_str(url).map_err(|_| {
        anyhow::anyhow!("database_url is not a URL like postgres://user:password@host:5432/name")
    })?;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("cannot make the directory {}", settings.data_dir.display()))?;
    let passwords = Passwords::load_or_generate(&settings.data_dir).with_context(|| {
        format!("cannot keep the passwords of the database roles in {}", settings.data_dir.display())
    })?;
    let name = admin.get_database().unwrap_or(NAME).to_owned();
    provision(&admin, &passwords, &name).await.context("cannot prepare the database that database_url names")
}

async fn migrate(roles: &Databases) -> Result<()> {
    event_store::postgres::migrate(&roles.owner).await.context("cannot migrate the event store")?;
    platform::keys::migrate(&roles.owner).await.context("cannot migrate the person keys")?;
    sagas::coordinator::migrate(&roles.owner).await.context("cannot migrate the coordinator's tables")?;
    sagas::gateway::sandbox::migrate(&roles.owner)
        .await
        .context("cannot migrate the sandbox provider's books")?;
    projections::migrate(&roles.owner).await.context("cannot migrate the registry of read models")
}
