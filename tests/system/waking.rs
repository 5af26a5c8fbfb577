//! Roles as processes of their own over a log that tells nobody of an append: they wake each other up over NATS,
//! and find things by and by without it.

use std::time::Duration;

use event_store::Position;
use futures::StreamExt;
use platform::nats::NatsServer;

use crate::harness::{
    Acknowledged, Client, EventStoreServer, PrivateDatabase, Sandbox, Server, ServerOptions, eventually,
    fail_to_serve, free_port,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_separate_roles_sell_with_and_without_nats_to_wake_them() {
    let (database, event_store) = (PrivateDatabase::start().await, EventStoreServer::given_or_stand_in());
    let mut nats = NatsServer::start_with(&[]);
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut hints = listener.subscribe("counterfoil-wake").await.unwrap();
    listener.flush().await.unwrap();
    let webhooks = free_port();
    let sandbox = Sandbox::start(webhooks).await;
    let log = event_store.empty_log();
    let options = |roles, port| ServerOptions {
        database_url: Some(database.url()),
        event_store_url: Some(log.clone()),
        provider_url: Some(sandbox.url()),
        nats_url: Some(nats.url()),
        roles: Some(roles),
        port,
        ..ServerOptions::default()
    };
    let mut write = Server::start_with(options("write", None)).await;
    let mut sagas = write.start_beside(options("sagas", Some(webhooks))).await;
    let mut projections = write.start_beside(options("projections", None)).await;
    let mut read = write.start_beside(options("read", None)).await;
    let client = Client::of_several(vec![write.url("")], vec![read.url("")], write.log());
    client.stock("MUG", 1250, 1_000).await;
    for _ in 0..5 {
        client.buy(&[("MUG", 1)], "tok_approve").await;
    }
    let head = write.log().head().await;
    let told = async {
        loop {
            let message = hints.next().await.expect("the subscription goes on");
            let text = std::str::from_utf8(&message.payload).unwrap();
            // The others are what a process says to itself.
            if text.parse::<Position>().is_ok_and(|position| position >= head) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), told).await.expect("all of it is told");

    nats.kill();
    for _ in 0..5 {
        client.buy(&[("MUG", 1)], "tok_approve").await;
    }
    for process in [&write, &sagas, &projections] {
        eventually("it says so", || async { process.said().contains("go on by polling").then_some(()) })
            .await;
    }

    nats.restart();
    for process in [&write, &sagas, &projections] {
        eventually("they wake each other up again", || async {
            process.said().contains("wake each other up over NATS again").then_some(())
        })
        .await;
    }
    client.buy(&[("MUG", 1)], "tok_approve").await;
    assert!(read.come_to_rest().await.is_empty(), "a stream is kept back");
    for process in [&mut sagas, &mut projections, &mut read, &mut write] {
        process.stop().await;
    }
    write.verify_all_held(&Acknowledged::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_can_never_wake_anybody_ends_the_start_where_it_is_to_do_that() {
    let event_store = EventStoreServer::given_or_stand_in();
    let guarded = NatsServer::start_with(&["--user", "shop", "--pass", "right"]);
    let wrong = format!("nats://shop:s3cret@{}", guarded.address());
    let options = ServerOptions {
        event_store_url: Some(event_store.empty_log()),
        nats_url: Some(wrong.clone()),
        roles: Some("write"),
        ..ServerOptions::default()
    };
    let output = fail_to_serve(&options).await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for expected in ["nats_url (from environment)", "refuses the user and password", "go without"] {
        assert!(said.contains(expected), "{expected:?} is not in: {said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
    // Where the engine wakes everybody up itself nobody asks NATS for anything.
    let options = ServerOptions { nats_url: Some(wrong), roles: Some("write"), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    server.stop().await;
}
