//! What systems outside get: the relay as a process, NATS as another, and `counterfoil tap` as the outside.

use std::{process::Output, time::Duration};

use event_store::{Filter, Position, RecordedEvent};
use futures::future::join_all;
use nix::sys::signal::Signal;
use platform::nats::NatsServer;
use serde_json::{Value, json};

use crate::harness::{PrivateDatabase, Server, ServerOptions, eventually, fail_to_serve, key};

const ALL_ROLES: &str = "write,read,sagas,projections,relay";

/// What a tap prints of the events that are in the log now, from the first on.
async fn tapped(server: &Server, nats: &NatsServer, log: &[RecordedEvent]) -> Vec<Value> {
    let count = log.len().to_string();
    let arguments =
        ["counterfoil.>", "--nats-url", &nats.url(), "--from", "start", "--json", "--count", &count];
    let taken = server.run_outside("tap", &arguments);
    let output: Output = tokio::time::timeout(Duration::from_mins(1), taken).await.expect("all of it comes");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Fails unless a tap gets every event of the log once, in the order of the log, and as it is there.
pub(crate) async fn outside_has_the_whole_log(server: &Server, nats: &NatsServer) {
    let log = server.log().all(&Filter::all()).await;
    let lines = tapped(server, nats, &log).await;
    let (summary, events) = lines.split_last().unwrap();
    assert_eq!(events.len(), log.len());
    for (line, event) in events.iter().zip(&log) {
        assert_eq!(line["position"], json!(event.position), "{line:#}");
        assert_eq!((&line["event_id"], &line["stream"]), (&json!(event.id), &json!(event.stream.as_str())));
        assert_eq!((&line["revision"], &line["event"]), (&json!(event.revision), &json!(event.name)));
        let finding = ["gap", "double", "late"].iter().find(|finding| !line[**finding].is_null());
        assert_eq!(finding, None, "{line:#}");
        if event.name == "WebhookReceived" {
            assert_eq!(line["payload"], Value::Null);
        } else {
            assert_eq!(line["payload"], serde_json::from_slice::<Value>(&event.payload).unwrap());
        }
    }
    let summary = &summary["summary"];
    assert_eq!(summary["position"], json!(log.last().unwrap().position));
    assert_eq!((&summary["missing"], &summary["doubles"]), (&json!(0), &json!(0)), "{summary:#}");
}

/// Waits until NATS has acknowledged everything in the log, by what the status says.
pub(crate) async fn relay_is_done(server: &Server) -> Value {
    let client = server.client();
    eventually("NATS has everything", || async {
        let relay = client.try_get("/status").await?.body["relay"].clone();
        let head = server.log().head().await;
        (relay["checkpoint"] == json!(head) && relay["lag"] == 0).then_some(relay)
    })
    .await
}

#[tokio::test]
async fn a_tap_sees_every_event_once_and_in_order_although_the_server_is_killed_again_and_again() {
    let nats = NatsServer::start();
    let options =
        ServerOptions { roles: Some(ALL_ROLES), nats_url: Some(nats.url()), ..ServerOptions::default() };
    let mut server = Server::start_with(options.clone()).await;
    let client = server.client();
    client.stock("MUG", 1250, 1_000).await;
    for _ in 0..4 {
        let carts = (0..15).map(|n| {
            let payment_method = if n % 5 == 0 { "tok_decline" } else { "tok_webhook_twice" };
            let client = client.clone();
            async move { client.place(&key("cart"), &[("MUG", 1)], payment_method).await }
        });
        join_all(carts).await;
        server.kill();
        server.restart_with(options.clone()).await;
    }
    client.buy(&[("MUG", 1)], "tok_approve").await;
    server.come_to_rest().await;
    let relay = relay_is_done(&server).await;
    assert!(relay["holder"].is_string(), "{relay:#}");
    outside_has_the_whole_log(&server, &nats).await;

    // What NATS loses, the log still has.
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    jetstream.delete_stream(relay::STREAM).await.unwrap();
    let rewound = server.run("relay rewind", &["--to", "start", "--json"]).await;
    let rewound: Value = serde_json::from_slice(&rewound.stdout).unwrap();
    assert_eq!((&rewound["from"], &rewound["to"]), (&relay["checkpoint"], &json!(Position::START)));
    eventually("the relay has begun again", || async {
        jetstream.get_stream(relay::STREAM).await.ok().map(|_| ())
    })
    .await;
    relay_is_done(&server).await;
    outside_has_the_whole_log(&server, &nats).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn of_two_relays_one_publishes_and_a_paused_one_that_wakes_changes_nothing() {
    let (database, nats) = (PrivateDatabase::start().await, NatsServer::start());
    let options = ServerOptions {
        roles: Some(ALL_ROLES),
        nats_url: Some(nats.url()),
        database_url: Some(database.url()),
        ..ServerOptions::default()
    };
    let mut first = Server::start_with(options).await;
    let mut second = first.start_twin().await;
    let client = second.client();
    client.stock("MUG", 1250, 1_000).await;
    let holder = relay_is_done(&first).await["holder"].clone();
    let pid = first.pid().to_string();
    assert!(holder.as_str().unwrap().ends_with(&pid), "{holder} is not the first, {pid}");

    first.signal(Signal::SIGSTOP);
    for _ in 0..5 {
        client.buy(&[("MUG", 1)], "tok_approve").await;
    }
    let successor = relay_is_done(&second).await["holder"].clone();
    assert_ne!(successor, holder);
    first.signal(Signal::SIGCONT);
    for _ in 0..20 {
        client.buy(&[("MUG", 1)], "tok_approve").await;
    }
    assert_eq!(relay_is_done(&second).await["holder"], successor);
    outside_has_the_whole_log(&second, &nats).await;
    second.kill();
    first.client().buy(&[("MUG", 1)], "tok_approve").await;
    first.come_to_rest().await;
    assert_eq!(relay_is_done(&first).await["holder"], holder);
    outside_has_the_whole_log(&first, &nats).await;
    first.stop_and_verify().await;
}

#[tokio::test]
async fn the_shop_goes_on_selling_without_nats_and_says_so() {
    let mut nats = NatsServer::start();
    nats.kill();
    let options = ServerOptions {
        roles: Some(ALL_ROLES),
        nats_url: Some(nats.url()),
        ready_role: Some("write"),
        ..ServerOptions::default()
    };
    let mut server = Server::start_with(options).await;
    let client = server.client();
    client.stock("MUG", 1250, 1_000).await;
    client.buy(&[("MUG", 1)], "tok_approve").await;
    let readiness = client.get("/readyz/relay").await.expect(503).body;
    let reason = readiness["checks"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot be reached"), "{reason}");
    for role in ["write", "read", "sagas", "projections"] {
        client.get(&format!("/readyz/{role}")).await.expect(200);
    }
    let complaints = |server: &Server| server.said().matches("the relay cannot publish").count();
    eventually("the log tells of it", || async { (complaints(&server) > 0).then_some(()) }).await;
    // Several tries later.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(complaints(&server), 1, "{}", server.said());

    nats.restart();
    eventually("the relay is ready", || async {
        client.try_get("/readyz/relay").await.filter(|answer| answer.status.is_success())
    })
    .await;
    server.come_to_rest().await;
    relay_is_done(&server).await;
    outside_has_the_whole_log(&server, &nats).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_nats_that_can_never_be_used_ends_the_start_with_the_setting_that_names_it() {
    let (without, guarded) =
        (NatsServer::start_with(&[]), NatsServer::start_with(&["-js", "--user", "relay", "--pass", "right"]));
    let wrong = format!("nats://relay:s3cret@{}", guarded.address());
    for (url, expected) in [
        (without.url(), "has no JetStream"),
        (wrong, "refuses the user and password"),
        ("postgres://relay:s3cret@localhost".to_owned(), "is not a URL like nats://"),
    ] {
        let options =
            ServerOptions { roles: Some(ALL_ROLES), nats_url: Some(url), ..ServerOptions::default() };
        let output = fail_to_serve(&options).await;
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        for expected in ["nats_url (from environment)", expected, "--nats-url"] {
            assert!(said.contains(expected), "{expected:?} is not in: {said}");
        }
        assert!(!said.contains("s3cret"), "{said}");
    }
}
