//! The log in a server of its own: the same shop, with `EVENTSTOREDB_URL` against the server that it names and
//! otherwise against the stand-in. A log that cannot be used, or is not the one that the database follows, is
//! refused at the start by an error that says which setting is at fault.

use std::{process::Output, time::Duration};

use eventstoredb_stand_in::{Setup, StandIn};
use sqlx::{ConnectOptions, Connection};
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinSet};

use crate::{
    crash_points::every_event_was_seen_once,
    customers::{MIX, each_got_what_was_due},
    harness::{
        Acknowledged, Books, EventStoreServer, Follower, Server, ServerOptions, fail_to_serve,
        fail_to_serve_in, free_port,
    },
};

fn with_log_at(url: impl Into<String>) -> ServerOptions {
    ServerOptions { event_store_url: Some(url.into()), ..ServerOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkouts_of_every_kind_survive_kills_with_the_log_in_eventstoredb() {
    let event_store = EventStoreServer::given_or_stand_in();
    let options = with_log_at(event_store.empty_log());
    let mut server = Server::start_with(options.clone()).await;
    let client = server.client();
    client.stock("MUG", 1250, 100_000).await;
    client.stock("SPOON", 50, 100_000).await;
    let acknowledged = Acknowledged::default();
    let follower = Follower::start(&server, "/events");
    let mut customers = JoinSet::new();
    for (n, customer) in MIX.into_iter().cycle().take(2 * MIX.len()).enumerate() {
        let (client, acknowledged) = (client.clone(), acknowledged.clone());
        customers.spawn(async move {
            (customer.shop(client, format!("customer-{n}"), acknowledged).await, customer)
        });
    }
    for _ in 0..2 {
        // Whatever is under way by then is cut off.
        let enough = acknowledged.len() + 4;
        while acknowledged.len() < enough && !customers.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.kill();
        server.restart_with(options.clone()).await;
    }
    let served = customers.join_all().await;
    each_got_what_was_due(&served, &client, async || Books::fetch(&server.sandbox_url("/books")).await).await;
    every_event_was_seen_once(&server, &follower).await;
    server.stop_and_verify_told(&acknowledged).await;
}

/// How a server with this log ends that must not start.
async fn refusal(url: &str) -> String {
    refused(&fail_to_serve(&with_log_at(url)).await)
}

fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_used_is_refused_with_the_setting_that_names_it() {
    let something_else = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let talker = something_else.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = something_else.accept().await {
            let _ = connection.write_all(b"220 this is no event store\r\n").await;
        }
    });
    let credentials = Some(("admin".to_owned(), "changeit".to_owned()));
    let locked = StandIn::start(Setup { credentials, ..Setup::default() }).unwrap();
    let nobody = free_port();
    for (url, hint) in [
        ("kafka://127.0.0.1:9092".to_owned(), "known are postgres://, esdb://"),
        ("shop".to_owned(), "must begin with one of"),
        ("memory:".to_owned(), "for tests"),
        (format!("esdb://{talker}?tls=false"), "is no EventStoreDB"),
        (format!("esdb://admin:sesame@{}?tls=false", locked.address()), "refuses the user"),
        (format!("esdb://127.0.0.1:{nobody}?tls=false"), "unavailable"),
        ("esdb://127.0.0.1:2113?tls=perhaps".to_owned(), "cannot be read"),
        (format!("postgres://shop:sesame@127.0.0.1:{nobody}/shop"), "connect"),
    ] {
        let said = refusal(&url).await;
        assert!(said.contains("event_store_url (from environment)"), "{url}: {said}");
        assert!(said.contains(hint), "{url}: {said}");
        assert!(!said.contains("sesame"), "a password was shown: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_follows_one_log_and_refuses_another() {
    let first_server = EventStoreServer::given_or_stand_in();
    let first = first_server.empty_log();
    let mut server = Server::start_with(with_log_at(&first)).await;
    server.client().stock("MUG", 1250, 10).await;
    server.stop().await;
    // Whoever starts on a log that has events remembers it.
    server.restart_with(with_log_at(&first)).await;
    server.stop().await;
    let second_server = EventStoreServer::given_or_stand_in();
    let second = second_server.empty_log();
    for other in [with_log_at(&second), ServerOptions::default()] {
        let said = refused(&fail_to_serve_in(server.folder(), &other).await);
        assert!(said.contains("follows another log"), "{said}");
    }
    server.restart_with(with_log_at(&first)).await;
    server.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_release_is_refused() {
    let mut server = Server::start().await;
    let owner = server.database_as("postgres");
    let mut database = owner.connect().await.unwrap();
    sqlx::query(
        "insert into sagas._sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'of the future', true, '', 0)",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
    server.stop().await;
    let said = refused(&fail_to_serve_in(server.folder(), &ServerOptions::default()).await);
    assert!(said.contains("newer release") && said.contains("9999"), "{said}");
}
