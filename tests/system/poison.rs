//! Events that nobody can read or apply: their stream is kept back, loudly, and all others go on.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::harness::{Acknowledged, Client, Server, ServerOptions, eventually};

/// An event with any name, version and bytes at the end of a stream, past every check of ours: by the
/// function of the database that the event store itself appends with.
async fn append_raw(db: &mut PgConnection, stream: &str, name: &str, version: i16, payload: &[u8]) {
    let command_id = Uuid::new_v4();
    let metadata = json!({
        "occurred_at": "2026-11-21T12:00:00Z",
        "correlation_id": command_id,
        "causation_id": command_id,
        "command_id": command_id,
        "actor": "operator",
    });
    let category = stream.split_once('-').unwrap().0;
    let outcome: String = sqlx::query_scalar(
        "select outcome from event_store.append(
             array[$1], array[$2], array[-2::bigint], array[1], array[1], array[0],
             array[$3], array[$4], array[$5], array[$6], array[$7])",
    )
    .bind(stream)
    .bind(category)
    .bind(Uuid::new_v5(&command_id, b"0"))
    .bind(name)
    .bind(version)
    .bind(payload)
    .bind(metadata.to_string())
    .fetch_one(db)
    .await
    .unwrap();
    assert_eq!(outcome, "appended");
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

/// Appends everything that must never be there, and names the streams of orders that it is now in.
async fn poison(server: &Server, client: &Client) -> Vec<String> {
    let mut db = PgConnection::connect_with(&server.database_as("service")).await.unwrap();
    let sixteen_mib = vec![b'['; 16 * 1024 * 1024];
    let mut poisoned = Vec::new();
    for (name, version, payload) in [
        ("OrderCancelled", 1, &b"{\"order_id\": "[..]),
        ("OrderCancelled", 1, b"[]"),
        ("OrderCancelled", 99, b"{}"),
        ("OrderAbducted", 1, b"{}"),
        ("OrderCancelled", 1, b"\xff\xfe\x00"),
        ("OrderCancelled", 1, &sixteen_mib),
        ("OrderRejected", 1, b""),
    ] {
        let order_id = client.buy(&[("MUG", 1)], "tok_approve").await;
        let stream = format!("order-{order_id}");
        append_raw(&mut db, &stream, name, version, payload).await;
        poisoned.push(stream);
    }
    append_raw(&mut db, "payment-not-an-id", "PaymentRequested", 1, b"{}").await;
    append_raw(&mut db, "webhook-poison", "WebhookReceived", 7, b"nonsense").await;
    append_raw(&mut db, "unheardof-1", "SomethingElse", 1, b"{}").await;
    poisoned
}

#[tokio::test]
async fn poison_events_park_their_own_streams_and_the_others_go_on() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    let before = client.buy(&[("MUG", 1)], "tok_approve").await;

    let poisoned_orders = poison(&server, &client).await;

    // New orders come through, old ones can be worked on, what is poisoned is refused and not lost.
    client.buy(&[("MUG", 2)], "tok_webhook_only").await;
    let reason = json!({"reason": "customer_request"});
    client.post(&format!("/orders/{before}/cancellation"), "cancel", &reason).await.expect(200);
    client.order_at(&before, "cancelled", "refunded").await;
    let on_poison = poisoned_orders[0].replacen("order-", "/orders/", 1);
    let refused = client.post(&format!("{on_poison}/dispatch"), "dispatch", &json!({})).await;
    assert_eq!(refused.expect(500).problem(), "internal");
    client.get(&on_poison).await.expect(200);

    // And the same after a start that meets them anew.
    server.kill();
    server.restart_with(ServerOptions::default()).await;
    client.buy(&[("MUG", 3)], "tok_approve").await;
    // What cannot be read breaks no invariant and keeps back nobody else, but it is shown.
    let kept_back = poisoned_orders
        .into_iter()
        .chain(["payment-not-an-id", "webhook-poison"].map(str::to_owned))
        .collect();
    let report = server.stop_and_verify_noting(&Acknowledged::default(), &kept_back).await;
    let notes = report["notes"].as_array().unwrap();
    assert!(notes.iter().all(|note| note["note"] == "unreadable"), "{notes:#?}");
    assert_eq!(notes.len(), 10, "{notes:#?}");
}

#[tokio::test]
async fn a_parked_stream_goes_on_when_it_is_retried_after_the_cause_is_gone() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    let mut db = PgConnection::connect_with(&server.database_as("projector")).await.unwrap();
    let obstacle = "alter table orders_v1.orders add constraint in_the_way check (units <> 4) not valid";
    sqlx::raw_sql(obstacle).execute(&mut db).await.unwrap();
    let order_id = client.place("four", &[("MUG", 4)], "tok_approve").await;
    let stream = format!("order-{order_id}");
    eventually("the stream is parked", || async { parked(&server).await.contains(&stream).then_some(()) })
        .await;
    client.buy(&[("MUG", 1)], "tok_approve").await;

    // The cause is still there.
    let output = server.run("projections retry", &["orders", &stream]).await;
    let (said, advised) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        !output.status.success() && said.contains("parked again") && said.contains("in_the_way"),
        "{said}"
    );
    assert!(advised.contains("run this again"), "{advised}");

    let removal = "alter table orders_v1.orders drop constraint in_the_way";
    sqlx::raw_sql(removal).execute(&mut db).await.unwrap();
    let output = server.run("projections retry", &["orders", &stream, "--json"]).await;
    let retried: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&retried[0]["stream"], &retried[0]["parked"]), (&json!(stream), &Value::Null), "{retried:#}");
    assert!(output.status.success() && retried[0]["applied"].as_u64() >= Some(1), "{retried:#}");
    assert_eq!(parked(&server).await, [""; 0]);
    client.order_at(&order_id, "confirmed", "captured").await;

    // What is not there to be retried is said, and what is.
    let output = server.run("projections retry", &["orders", &stream]).await;
    let advised = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && advised.contains("no stream is parked"), "{advised}");
    let output = server.run("projections retry", &["ordres"]).await;
    let advised = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && advised.contains("orders, stock") && advised.contains("all"),
        "{advised}"
    );
    server.stop_and_verify().await;
}
