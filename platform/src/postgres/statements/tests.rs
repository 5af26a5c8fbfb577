#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::{collections::BTreeSet, net::ToSocketAddrs};

use sqlx::ConnectOptions;
use tokio::time::timeout;

use super::*;
use crate::{postgres::testing, proxy::Proxy};

const PATIENCE: Duration = Duration::from_secs(10);

async fn server_process(statements: &Statements) -> i32 {
    let pid = statements.run(async |db| sqlx::query_scalar("select pg_backend_pid()").fetch_one(db).await);
    pid.await.unwrap()
}

#[tokio::test]
async fn statements_one_after_the_other_share_a_connection() {
    let databases = testing::fresh_database().await;
    let statements = Statements::over(databases.service, 4, PATIENCE);
    let first = server_process(&statements).await;
    for _ in 0..20 {
        assert_eq!(server_process(&statements).await, first);
    }
}

#[tokio::test]
async fn no_more_connections_are_made_than_are_allowed() {
    let databases = testing::fresh_database().await;
    let statements = Statements::over(databases.service, 2, PATIENCE);
    let asked = (0..40).map(|_| {
        statements.run(async |db| {
            sqlx::query("select pg_sleep(0.01)").execute(&mut *db).await?;
            sqlx::query_scalar("select pg_backend_pid()").fetch_one(db).await
        })
    });
    let pids: Vec<i32> = futures::future::try_join_all(asked).await.unwrap();
    let pids: BTreeSet<_> = pids.into_iter().collect();
    assert!(pids.len() <= 2, "{pids:?}");
}

#[tokio::test]
async fn a_connection_over_which_a_statement_failed_is_used_again() {
    let databases = testing::fresh_database().await;
    let statements = Statements::over(databases.service, 1, PATIENCE);
    let before = server_process(&statements).await;
    let failed = statements.run(async |db| sqlx::query("select 1 / 0").execute(db).await).await;
    assert!(failed.unwrap_err().as_database_error().is_some());
    assert_eq!(server_process(&statements).await, before);
}

#[tokio::test]
async fn what_was_given_up_is_waited_for_before_its_connection_is_used_again() {
    let databases = testing::fresh_database().await;
    let statements = Statements::over(databases.service, 1, PATIENCE);
    let before = server_process(&statements).await;
    let slow = statements.run(async |db| {
        let mut transaction = db.begin().await?;
        sqlx::query("select pg_advisory_xact_lock(4711)").execute(&mut *transaction).await?;
        sqlx::query("select pg_sleep(0.3)").execute(&mut *transaction).await?;
        transaction.commit().await
    });
    timeout(Duration::from_millis(100), slow).await.unwrap_err();
    assert_eq!(server_process(&statements).await, before);
    let undone = "select not exists (select from pg_locks where locktype = 'advisory' and objid = 4711)";
    let undone: Result<bool, _> =
        statements.run(async |db| sqlx::query_scalar(undone).fetch_one(db).await).await;
    assert!(undone.unwrap(), "what was begun there is still open");
}

#[tokio::test]
async fn what_takes_too_long_after_it_was_given_up_costs_its_connection() {
    let databases = testing::fresh_database().await;
    let statements = Statements::over(databases.service, 1, Duration::from_secs(1));
    let before = server_process(&statements).await;
    let endless = statements.run(async |db| sqlx::query("select pg_sleep(3600)").execute(db).await);
    timeout(Duration::from_millis(50), endless).await.unwrap_err();
    let pid = "select pg_backend_pid()";
    let after: i32 = loop {
        let asked = statements.run(async |db| sqlx::query_scalar(pid).fetch_one(db).await);
        match asked.await {
            Ok(pid) => break pid,
            Err(error) => assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error}"),
        }
    };
    assert_ne!(after, before);
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_left_when_it_talks_again() {
    let databases = testing::fresh_database().await;
    let proxy = Proxy::before(
        (databases.service.get_host(), databases.service.get_port())
            .to_socket_addrs()
            .unwrap()
            .next()
            .unwrap(),
    );
    let proxy = proxy.await.unwrap();
    proxy.hold();
    let address = proxy.address();
    let service = databases.service.clone().host(&address.ip().to_string()).port(address.port());
    let statements = Statements::over(service, 2, Duration::from_secs(1));
    for _ in 0..3 {
        let held = statements.run(async |db| sqlx::query("select 1").execute(db).await).await;
        assert!(matches!(held, Err(sqlx::Error::PoolTimedOut)), "{held:?}");
    }
    proxy.forward();
    server_process(&statements).await;
}

#[tokio::test]
async fn a_connection_that_was_cut_while_it_lay_idle_harms_nobody() {
    let databases = testing::fresh_database().await;
    let statements = Statements::over(databases.service.clone(), 1, PATIENCE);
    let before = server_process(&statements).await;
    let mut other = databases.service.connect().await.unwrap();
    let ended = sqlx::query("select pg_terminate_backend($1)").bind(before);
    ended.execute(&mut other).await.unwrap();
    // It is trusted for that long.
    tokio::time::sleep(TRUSTED_IDLE).await;
    assert_ne!(server_process(&statements).await, before);
}

#[tokio::test]
async fn who_gets_no_connection_is_told_why() {
    let databases = testing::fresh_database().await;
    let short = Duration::from_millis(300);
    let nowhere = Statements::over(databases.service.clone().port(1), 1, short);
    let refused = nowhere.run(async |db| sqlx::query("select 1").execute(db).await).await.unwrap_err();
    assert!(matches!(&refused, sqlx::Error::Io(_)), "{refused}");

    let busy = Statements::over(databases.service, 1, Duration::from_secs(2));
    server_process(&busy).await;
    let (_, waited) = tokio::join!(
        busy.run(async |db| sqlx::query("select pg_sleep(5)").execute(db).await),
        busy.run(async |db| sqlx::query("select 1").execute(db).await),
    );
    assert!(matches!(waited, Err(sqlx::Error::PoolTimedOut)), "{waited:?}");
}
