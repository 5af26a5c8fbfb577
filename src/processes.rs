//! Who is there: every process that serves says so regularly, with its roles, so that each can be asked about
//! all. **Nothing is decided by it**; it is for people, who look for a process that should be there.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::status::Process;

/// How often a process says that it is there.
const EVERY: Duration = Duration::from_secs(2);

/// Who was not seen for so long is not shown any more.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

/// Who was not seen for so long is forgotten.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);

/// What the process says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    /// As in the leases that it holds.
    pub(crate) name: String,
    /// The roles that it runs.
    pub(crate) roles: Vec<&'static str>,
    /// Where its API listens.
    pub(crate) listen: String,
    /// Which release it is of.
    pub(crate) version: String,
}

/// Says that the process is there until `shutdown`, and then that it is not.
pub(crate) async fn announce(presence: Presence, service: PgPool, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = say(&presence, &service).await {
            tracing::warn!(%error, "cannot say that this process is there");
        }
        let _ = tokio::time::timeout(EVERY, shutdown.cancelled()).await;
    }
    let left = sqlx::query("delete from installation.processes where name = $1").bind(&presence.name);
    if let Err(error) = left.execute(&service).await {
        tracing::warn!(%error, "cannot say that this process has left");
    }
}

async fn say(presence: &Presence, service: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with forgotten as (
            delete from installation.processes where name <> $1 and seen_at < clock_timestamp() - $5)
         insert into installation.processes as process (name, roles, listen, version, seen_at)
         values ($1, $2, $3, $4, clock_timestamp())
         on conflict (name) do update
            set roles = excluded.roles, listen = excluded.listen, version = excluded.version,
                seen_at = excluded.seen_at,
                since = case when process.seen_at < clock_timestamp() - $6 then excluded.seen_at
                             else process.since end",
    )
    .bind(&presence.name)
    .bind(&presence.roles)
    .bind(&presence.listen)
    .bind(&presence.version)
    .bind(REMEMBERED_FOR)
    .bind(SEEN_WITHIN)
    .execute(service)
    .await?;
    Ok(())
}

/// The processes that were seen just now.
pub(crate) async fn seen(service: &PgPool) -> Result<Vec<Process>, sqlx::Error> {
    sqlx::query_as(
        "select name, roles, listen, version, since from installation.processes
          where seen_at > clock_timestamp() - $1 order by roles, name",
    )
    .bind(SEEN_WITHIN)
    .fetch_all(service)
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use platform::postgres::testing;

    use super::*;

    fn presence(name: &str) -> Presence {
        Presence {
            name: name.to_owned(),
            roles: vec!["write", "read"],
            listen: "127.0.0.1:8080".to_owned(),
            version: "0.1.0".to_owned(),
        }
    }

    async fn names(pool: &PgPool) -> Vec<String> {
        seen(pool).await.unwrap().into_iter().map(|process| process.name).collect()
    }

    #[tokio::test]
    async fn a_process_that_is_not_seen_for_a_while_is_not_shown_and_later_forgotten() {
        let databases = testing::fresh_database().await;
        crate::log::migrate(&databases.owner).await.unwrap();
        let pool = PgPool::connect_with(databases.service).await.unwrap();
        for name in ["here", "silent", "gone"] {
            say(&presence(name), &pool).await.unwrap();
        }
        assert_eq!(names(&pool).await, ["gone", "here", "silent"]);
        for (name, ago) in [("silent", "7 s"), ("gone", "2 h")] {
            sqlx::query("update installation.processes set seen_at = seen_at - $2::interval where name = $1")
                .bind(name)
                .bind(ago)
                .execute(&pool)
                .await
                .unwrap();
        }
        assert_eq!(names(&pool).await, ["here"]);
        say(&presence("here"), &pool).await.unwrap();
        let kept: i64 =
            sqlx::query_scalar("select count(*) from installation.processes").fetch_one(&pool).await.unwrap();
        assert_eq!(kept, 2);
        let seen = seen(&pool).await.unwrap();
        assert_eq!(
            (seen[0].roles.join(","), seen[0].listen.as_str()),
            ("write,read".to_owned(), "127.0.0.1:8080")
        );
    }

    #[tokio::test]
    async fn a_process_that_stops_is_not_shown_any_more() {
        let databases = testing::fresh_database().await;
        crate::log::migrate(&databases.owner).await.unwrap();
        let pool = PgPool::connect_with(databases.service).await.unwrap();
        let shutdown = CancellationToken::new();
        let saying = tokio::spawn(announce(presence("here"), pool.clone(), shutdown.clone()));
        while names(&pool).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        shutdown.cancel();
        saying.await.unwrap();
        assert_eq!(names(&pool).await, [""; 0]);
    }
}
