//! Where it is measured: a Postgres of its own below the data directory, or a database of its own on the
//! server that was given. **Nothing that was there before is touched**, and nothing is left.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use platform::postgres::embedded;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{durability, flights::Flights, machine::Machine};
use crate::{config::Settings, database::Database};

/// Ground to measure on.
#[derive(Debug)]
pub struct Ground {
    /// The settings with which the database there is opened.
    pub(super) settings: Settings,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Private(tempfile::TempDir),
    Given { server: Box<PgConnectOptions>, name: String },
}

impl Ground {
    /// Makes it.
    pub async fn prepare(settings: &Settings) -> Result<Self> {
        ensure!(
            settings.event_store_url.is_none(),
            "{} names a log elsewhere: whether that is durable, and what its machine can do at best, cannot be \
             found out from here. Measure on Postgres",
            settings.blame("event_store_url")
        );
        let mut settings = settings.clone();
        let place = match settings.database_url.clone() {
            None => {
                let data_dir = &settings.data_dir;
                std::fs::create_dir_all(data_dir)
                    .with_context(|| format!("cannot make the directory {}", data_dir.display()))?;
                let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(data_dir);
                let directory = directory
                    .with_context(|| format!("cannot make a directory in {}", data_dir.display()))?;
                durability::is_on_disk(directory.path())?;
                directory.path().clone_into(&mut settings.data_dir);
                Place::Private(directory)
            }
            Some(url) => {
                let server = PgConnectOptions::from_str(&url)
                    .map_err(|_| anyhow::anyhow!("{} is no URL", settings.blame("database_url")))?;
                let name = format!("counterfoil_bench_{}", Uuid::new_v4().simple());
                settings.database_url = Some(make_database(&server, &name).await?);
                Place::Given { server: Box::new(server), name }
            }
        };
        Ok(Self { settings, place })
    }

    /// Opens the database there, and makes sure that what it acknowledges is on disk.
    pub(super) async fn open(&self) -> Result<(Database, Machine)> {
        let database = Database::open(&self.settings).await?;
        durability::check(&database.roles.service).await?;
        let machine = Machine::describe(&database.roles.service).await?;
        Ok((database, machine))
    }

    /// Removes it.
    pub async fn remove(self) -> Result<()> {
        match self.place {
            Place::Private(directory) => directory.close().context("cannot remove what was measured on"),
            Place::Given { server, name } => {
                let mut db = server.connect().await?;
                let sql = "select datname from pg_database where starts_with(datname, $1)";
                let databases: Vec<String> = sqlx::query_scalar(sql).bind(name).fetch_all(&mut db).await?;
                db.close().await?;
                for database in databases {
                    drop_database(&server, &database).await?;
                }
                Ok(())
            }
        }
    }

    /// Its server, for several databases beside each other. A private one runs until it is closed.
    pub(super) async fn server(&self) -> Result<Server> {
        let (admin, prefix, private) = match &self.place {
            Place::Private(directory) => {
                let server = embedded::Server::start(directory.path()).await;
                let server = server.context("cannot start a Postgres to measure on")?;
                (server.superuser(), "counterfoil_bench".to_owned(), Some(server))
            }
            Place::Given { server, name } => ((**server).clone(), name.clone(), None),
        };
        Ok(Server { settings: self.settings.clone(), admin, prefix, private })
    }
}

/// A server that is to have several databases. They go with the ground.
pub(super) struct Server {
    settings: Settings,
    pub(super) admin: PgConnectOptions,
    prefix: String,
    private: Option<embedded::Server>,
}

impl Server {
    /// Makes a database with nothing in it, and answers the settings with which it is opened.
    pub(super) async fn make(&self, name: &str) -> Result<Settings> {
        let url = make_database(&self.admin, &format!("{}_{name}", self.prefix)).await?;
        let mut settings = self.settings.clone();
        settings.database_url = Some(url);
        Ok(settings)
    }

    /// The same, reached through something that counts.
    pub(super) async fn make_behind(&self, flights: &Flights, name: &str) -> Result<Settings> {
        let mut settings = self.make(name).await?;
        let database = self.admin.clone().database(&format!("{}_{name}", self.prefix));
        settings.database_url = Some(flights.through(&database).to_url_lossy().to_string());
        Ok(settings)
    }

    /// Removes a database with all that is in it.
    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        drop_database(&self.admin, &format!("{}_{name}", self.prefix)).await
    }

    /// Stops it, where it is a private one. Nobody may use it any more.
    pub(super) fn close(self) -> Result<()> {
        self.private.map_or(Ok(()), |server| server.stop().context("cannot stop the Postgres of the bench"))
    }
}

/// Answers its URL.
async fn make_database(server: &PgConnectOptions, name: &str) -> Result<String> {
    let create = format!("create database {name} template template0 encoding 'UTF8' locale 'C'");
    execute(server, create).await.context("cannot make a database to measure on")?;
    Ok(server.clone().database(name).to_url_lossy().to_string())
}

async fn drop_database(server: &PgConnectOptions, name: &str) -> Result<()> {
    let drop = format!("drop database if exists {name} with (force)");
    execute(server, drop).await.context("cannot remove what was measured on")
}

async fn execute(server: &PgConnectOptions, statement: String) -> Result<()> {
    // Databases are made and removed in seconds, and that is no news.
    let mut db = server.clone().disable_statement_logging().connect().await?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut db).await?;
    Ok(db.close().await?)
}
