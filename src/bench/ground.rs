//! Where it is measured: a Postgres of its own below the data directory, or a database of its own on the
//! server that was given. **Nothing that was there before is touched**, and nothing is left.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{durability, machine::Machine};
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
                let create = format!("create database {name} template template0 encoding 'UTF8' locale 'C'");
                execute(&server, create).await.context("cannot make a database to measure on")?;
                settings.database_url = Some(server.clone().database(&name).to_url_lossy().to_string());
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
                let drop = format!("drop database if exists {name} with (force)");
                execute(&server, drop).await.context("cannot remove what was measured on")
            }
        }
    }
}

async fn execute(server: &PgConnectOptions, statement: String) -> Result<()> {
    let mut db = server.connect().await?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut db).await?;
    Ok(db.close().await?)
}
