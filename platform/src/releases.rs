//! What releases can read, so that several of them work on one database. **A release writes down what it can
//! read before it writes anything else.** So what another one cannot read is of a newer release when it is
//! written here, and was written by nobody who should have when it is not.

use sqlx::{ConnectOptions, Connection, PgExecutor, migrate::MigrateError, postgres::PgConnectOptions};

use crate::postgres;

/// Makes the schema `releases`, or finds that it is there.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), MigrateError> {
    let migrated = postgres::migrate(owner, "releases", &sqlx::migrate!("./migrations/releases")).await?;
    Ok(migrated.close().await?)
}

/// Writes down what this release can read: wire names, each with its newest version.
pub async fn announce(
    service: &PgConnectOptions,
    vocabulary: impl IntoIterator<Item = (&'static str, u16)>,
) -> Result<(), sqlx::Error> {
    let (names, versions): (Vec<&str>, Vec<i32>) =
        vocabulary.into_iter().map(|(name, version)| (name, i32::from(version))).unzip();
    let mut db = service.connect().await?;
    sqlx::query(
        "insert into releases.vocabulary (name, version)
         select * from unnest($1::text[], $2::int[]) on conflict do nothing",
    )
    .bind(names)
    .bind(versions)
    .execute(&mut db)
    .await?;
    db.close().await
}

/// Whether some release can read this version of this name, or a newer one.
pub async fn can_read(db: impl PgExecutor<'_>, name: &str, version: u16) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from releases.vocabulary where name = $1 and version >= $2)")
        // No name of ours holds a zero byte, which Postgres does not take.
        .bind(name.replace('\0', "\u{fffd}"))
        .bind(i32::from(version))
        .fetch_one(db)
        .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::postgres::testing::fresh_database;

    #[tokio::test]
    async fn what_one_release_has_written_down_another_knows_to_be_readable() {
        let databases = fresh_database().await;
        migrate(&databases.owner).await.unwrap();
        migrate(&databases.owner).await.unwrap();
        announce(&databases.service, [("OrderPlaced", 2)]).await.unwrap();
        announce(&databases.service, [("OrderPlaced", 3), ("OrderSplit", 1)]).await.unwrap();
        announce(&databases.service, [("OrderPlaced", 2)]).await.unwrap();
        for role in [&databases.service, &databases.projector] {
            let mut db = role.connect().await.unwrap();
            for (name, version, readable) in [
                ("OrderPlaced", 3, true),
                ("OrderPlaced", 4, false),
                ("OrderSplit", 0, true),
                ("OrderAbducted", 0, false),
                ("Order\0", 0, false),
            ] {
                assert_eq!(can_read(&mut db, name, version).await.unwrap(), readable, "{name} {version}");
            }
        }
    }
}
