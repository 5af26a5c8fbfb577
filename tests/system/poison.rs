//! Events that nobody can read or apply: their stream is kept back, loudly, and all others go on.

use std::sync::Arc;

use event_store::{EventStore, ExpectedRevision, NewEvent};
use events::{Actor, Metadata};
use platform::clock::Clock;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{Client, Server, ServerOptions, eventually};

/// An event with any name, version and bytes, at the end of a stream.
async fn append_raw(store: &Arc<dyn EventStore>, stream: &str, name: &str, version: u16, payload: Vec<u8>) {
    let command_id = Uuid::new_v4();
    let id = Uuid::new_v5(&command_id, b"0");
    let metadata = Metadata {
        occurred_at: Clock::system().now(),
        correlation_id: command_id,
        causation_id: command_id,
        command_id,
        request_digest: None,
        actor: Actor::Operator,
        traceparent: None,
    };
    let event = NewEvent { id, name: name.to_owned(), version, payload: payload.into(), metadata };
    store.append(&stream.parse().unwrap(), ExpectedRevision::Any, vec![event]).await.unwrap();
}

/// The streams that some projection keeps back.
async fn parked(server: &Server) -> Vec<String> {
    let output = server.run("projections status", &["--json"]).await;
    let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut streams: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|projection| projection["parked"].as_array().cloned().unwrap_or_default())
        .map(|parked| parked["stream"].as_str().unwrap().to_owned())
        .collect();
    streams.sort();
    streams.dedup();
    streams
}

async fn poison(store: &Arc<dyn EventStore>, client: &Client) -> Vec<String> {
    let mut poisoned = Vec::new();
    let largest = event_store::limits::PAYLOAD_BYTES_MAX;
    for (name, version, payload) in [
        ("OrderCancelled", 1, b"{\"order_id\": ".to_vec()),
        ("OrderCancelled", 1, b"[]".to_vec()),
        ("OrderCancelled", 99, b"{}".to_vec()),
        ("OrderAbducted", 1, b"{}".to_vec()),
        ("OrderCancelled", 1, b"\xff\xfe\x00".to_vec()),
        ("OrderCancelled", 1, vec![b'['; largest]),
        // It can be read, and it cannot have happened.
        ("OrderRejected", 1, Vec::new()),
    ] {
        let order_id = client.buy(&[("MUG", 1)], "tok_approve").await;
        let stream = format!("order-{order_id}");
        append_raw(store, &stream, name, version, payload).await;
        poisoned.push(stream);
    }
    append_raw(store, "payment-not-an-id", "PaymentRequested", 1, b"{}".to_vec()).await;
    append_raw(store, "webhook-poison", "WebhookReceived", 7, b"nonsense".to_vec()).await;
    append_raw(store, "unheardof-1", "SomethingElse", 1, b"{}".to_vec()).await;
    poisoned.sort();
    poisoned
}

#[tokio::test]
async fn poison_events_park_their_own_streams_and_the_others_go_on() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    let before = client.buy(&[("MUG", 1)], "tok_approve").await;
    let store = server.event_store().await;

    let poisoned = poison(&store, &client).await;

    // New orders come through, old ones can be worked on, what is poisoned is refused and not lost.
    client.buy(&[("MUG", 2)], "tok_webhook_only").await;
    let reason = serde_json::json!({"reason": "customer_request"});
    client.post(&format!("/orders/{before}/cancellation"), "cancel", &reason).await.expect(200);
    client.order_at(&before, "cancelled", "refunded").await;
    let on_poison = poisoned[0].replacen("order-", "/orders/", 1);
    let refused = client.post(&format!("{on_poison}/dispatch"), "dispatch", &serde_json::json!({})).await;
    assert_eq!(refused.expect(500).problem(), "internal");
    client.get(&on_poison).await.expect(200);

    // And the same after a start that meets them anew.
    server.kill();
    server.restart_with(ServerOptions::default()).await;
    client.buy(&[("MUG", 3)], "tok_approve").await;
    server.stop().await;
    eventually("the poisoned streams are parked", || async {
        let parked = parked(&server).await;
        poisoned.iter().all(|stream| parked.contains(stream)).then_some(())
    })
    .await;
}
