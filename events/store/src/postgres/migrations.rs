//! Brings a database to the shape that this release works with. Only the owner can; the roles that
//! serve get no more than what appending and reading take.

use sqlx::{ConnectOptions, Connection, migrate::Migrator, postgres::PgConnectOptions};

use super::failure::unavailable;
use crate::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Runs the migrations that are missing, as `owner`. The roles `counterfoil_service` and
/// `counterfoil_projector` must exist.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), StoreError> {
    let doing = "migrating the event store";
    let mut connection = owner.connect().await.map_err(|error| unavailable(doing, &error))?;
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.create_schema("event_store");
    migrator.dangerous_set_table_name("event_store._sqlx_migrations");
    migrator.run(&mut connection).await.map_err(|error| unavailable(doing, &error))?;
    connection.close().await.map_err(|error| unavailable(doing, &error))
}
