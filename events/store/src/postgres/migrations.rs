//! Brings a database to the shape that this release works with. Only the owner can; the roles that
//! serve get no more than what appending and reading take.

use sqlx::{ConnectOptions, Connection, migrate::Migrator, postgres::PgConnectOptions};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The schema could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the schema of the event store cannot be made: {0}")]
pub struct MigrateError(#[from] sqlx::migrate::MigrateError);

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.into())
    }
}

/// Runs the migrations that are missing, as `owner`. The roles `counterfoil_service` and
/// `counterfoil_projector` must exist.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), MigrateError> {
    let mut connection = owner.connect().await?;
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.create_schema("event_store");
    migrator.dangerous_set_table_name("event_store._sqlx_migrations");
    migrator.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
