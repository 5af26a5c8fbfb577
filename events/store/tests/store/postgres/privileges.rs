//! The roles that serve can append through the one function, and read. Each thing else that could
//! change history is tried, and each is refused.

use event_store::{Filter, postgres::PostgresStore};
use sqlx::{Executor, postgres::PgConnectOptions};

use super::{connect, execute};
use crate::{
    adapters::migrated_database,
    history::{some, stream, whole_log, write},
};

const INSUFFICIENT_PRIVILEGE: &str = "42501";

const ATTEMPTS: [&str; 38] = [
    "insert into event_store.events select position + 1, stream_no, revision + 1, gen_random_uuid(), name, version,
        payload, metadata, recorded_at from event_store.events",
    "update event_store.events set payload = '{}'",
    "update event_store.events set recorded_at = now() where position = 1",
    "delete from event_store.events",
    "truncate event_store.events",
    "truncate event_store.events, event_store.streams, event_store.head cascade",
    "select * from event_store.events for update",
    "do 'begin lock table event_store.events in access exclusive mode; end'",
    "insert into event_store.streams (name, category) values ('order-b', 'order')",
    "update event_store.streams set name = 'order-b'",
    "delete from event_store.streams",
    "truncate event_store.streams",
    "insert into event_store.head (only_row, position) values (false, 9)",
    "update event_store.head set position = 0",
    "select * from event_store.head for update",
    "delete from event_store.head",
    "truncate event_store.head",
    "select setval(pg_get_serial_sequence('event_store.streams', 'stream_no'), 1)",
    "select nextval(pg_get_serial_sequence('event_store.streams', 'stream_no'))",
    "alter table event_store.events disable trigger all",
    "alter table event_store.events disable trigger events_are_never_changed",
    "alter table event_store.events drop constraint revisions_are_taken_once",
    "alter table event_store.events alter column payload drop not null",
    "alter table event_store.events rename to elsewhere",
    "alter table event_store.events owner to current_user",
    "alter table event_store.events enable row level security",
    "drop table event_store.events",
    "drop index event_store.event_ids_are_written_once",
    "drop trigger events_are_never_changed on event_store.events",
    "drop function event_store.append",
    "drop schema event_store cascade",
    "create table event_store.mine (nothing integer)",
    "create rule forget as on insert to event_store.events do instead nothing",
    "create trigger change before insert on event_store.events
        for each row execute function event_store.refuse_change()",
    "create or replace function event_store.refuse_change() returns trigger language plpgsql
        as 'begin return null; end'",
    "set session_replication_role = replica",
    "set role counterfoil_owner",
    "delete from event_store._sqlx_migrations",
];

async fn refused_everything(role: &PgConnectOptions) {
    let mut connection = connect(role).await;
    // Anybody may say so for themselves; it must not help.
    execute(&mut connection, "set default_transaction_read_only = off").await;
    for attempt in ATTEMPTS {
        match connection.execute(sqlx::raw_sql(attempt)).await {
            Err(sqlx::Error::Database(refused)) => {
                assert_eq!(refused.code().as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{attempt}: {refused}");
            }
            other => panic!("{attempt}: {other:?}"),
        }
    }
    // Nothing to grant: Postgres says so in a warning, and changes nothing.
    let _ = connection.execute("grant all on event_store.events to current_user").await;
    let still = connection.execute("update event_store.events set payload = '{}'").await;
    assert!(still.is_err());
}

#[tokio::test]
async fn no_role_that_serves_can_change_history() {
    let databases = migrated_database().await;
    let store = PostgresStore::connect(databases.service.clone()).await.unwrap();
    write(&store, &stream("a"), some(2)).await;
    let before = whole_log(&store, &Filter::all(), 10).await;
    for role in [&databases.service, &databases.projector, &databases.reader] {
        refused_everything(role).await;
    }
    assert_eq!(whole_log(&store, &Filter::all(), 10).await, before);
}

#[tokio::test]
async fn only_the_service_may_append_and_the_reader_of_views_sees_no_events() {
    let databases = migrated_database().await;
    let empty = "select * from event_store.append(
        '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')";
    connect(&databases.service).await.execute(empty).await.unwrap();
    for role in [&databases.projector, &databases.reader] {
        let refused = connect(role).await.execute(empty).await.unwrap_err();
        let sqlx::Error::Database(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused.code().as_deref(), Some(INSUFFICIENT_PRIVILEGE));
    }
    let projector = PostgresStore::connect(databases.projector).await.unwrap();
    assert_eq!(whole_log(&projector, &Filter::all(), 10).await, []);
    assert!(PostgresStore::connect(databases.reader).await.is_err());
}

#[tokio::test]
async fn not_even_the_owner_changes_history_by_mistake() {
    let databases = migrated_database().await;
    let store = PostgresStore::connect(databases.service).await.unwrap();
    write(&store, &stream("a"), some(1)).await;
    let mut owner = connect(&databases.owner).await;
    for mistake in [
        "update event_store.events set payload = '{}'",
        "delete from event_store.events",
        "truncate event_store.events",
        "update event_store.streams set name = 'order-b'",
        "delete from event_store.streams",
        "truncate event_store.streams",
        "delete from event_store.head",
        "truncate event_store.head",
    ] {
        let refused = owner.execute(mistake).await.unwrap_err().to_string();
        assert!(refused.contains("history is not changed"), "{mistake}: {refused}");
    }
    execute(&mut owner, "select 1").await;
    assert_eq!(whole_log(&store, &Filter::all(), 10).await.len(), 1);
}

#[tokio::test]
async fn what_is_acknowledged_is_durable_whatever_the_default_of_the_database_is() {
    let databases = migrated_database().await;
    let mut service = connect(&databases.service).await;
    let durability = async |setting: &'static str, connection: &mut sqlx::PgConnection| -> String {
        execute(connection, setting).await;
        execute(connection, "begin").await;
        execute(
            connection,
            "select * from event_store.append('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        )
        .await;
        let in_force =
            sqlx::query_scalar("show synchronous_commit").fetch_one(&mut *connection).await.unwrap();
        execute(connection, "commit").await;
        in_force
    };
    assert_eq!(durability("set synchronous_commit = off", &mut service).await, "on");
    assert_eq!(durability("set synchronous_commit = remote_apply", &mut service).await, "remote_apply");
}
