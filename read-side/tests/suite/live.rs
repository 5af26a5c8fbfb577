//! Following orders live.

use futures::StreamExt;
use read_side::Limits;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::{
    history::*,
    served::Served,
    world::{minute, within},
};

/// The next `count` events of a stream: id, name and data.
async fn take(response: &mut Events, count: usize) -> Vec<(u64, String, Value)> {
    let mut events = Vec::new();
    while events.len() < count {
        let event = within("the next live event", response.next()).await.expect("the stream goes on");
        events.push(event);
    }
    events
}

/// Server-sent events, as they come over the wire.
struct Events {
    response: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response: Box::pin(response.bytes_stream()), text: String::new() }
    }

    /// The next event; `None` when the server has ended the stream.
    async fn next(&mut self) -> Option<(u64, String, Value)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(|value| value.trim().to_owned())
                };
                let Some(id) = field("id:") else { continue };
                let data = serde_json::from_str(&field("data:").unwrap()).unwrap();
                return Some((id.parse().unwrap(), field("event:").unwrap(), data));
            }
            let chunk = self.response.next().await?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn an_order_is_followed_from_its_first_event_on_and_resumed_without_gap_or_double() {
    let served = Served::start().await;
    let order = served.world.paid_order(1, minute(0)).await;
    served.world.paid_order(2, minute(0)).await;
    let path = format!("/orders/{order}/events");
    let mut events = Events::of(served.fresh(&path).await);
    let first = take(&mut events, 5).await;
    let names: Vec<&str> = first.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["OrderPlaced", "PaymentRequested", "PaymentAuthorized", "OrderConfirmed", "PaymentCaptured"]
    );
    assert_eq!(first[3].2["status"], "confirmed");
    drop(events);

    served.world.payment(order, &refunded(order, 100), minute(1)).await;
    let resumed = served.request(&path).header("Last-Event-ID", first[2].0).send().await.unwrap();
    let mut events = Events::of(resumed);
    served.world.payment(order, &refunded(order, 200), minute(1)).await;
    let rest = take(&mut events, 4).await;
    let positions: Vec<u64> = rest.iter().map(|(position, ..)| *position).collect();
    assert_eq!(positions, [4, 5, 11, 12]);
    served.stop().await;
}

#[tokio::test]
async fn all_orders_are_followed_from_now_on_by_many_clients_in_the_same_order() {
    let served = Served::start().await;
    served.world.paid_order(1, minute(0)).await;
    served.fresh("/orders").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Events::of(served.fresh("/events").await));
    }
    for number in 2..=30 {
        served.world.paid_order(number, minute(0)).await;
    }
    for client in &mut clients {
        let seen: Vec<u64> = take(client, 29 * 5).await.into_iter().map(|(position, ..)| position).collect();
        assert_eq!(seen, (6..=150).collect::<Vec<u64>>());
    }
    served.stop().await;
}

#[tokio::test]
async fn live_streams_end_when_the_server_does() {
    let served = Served::start().await;
    let order = served.world.paid_order(1, minute(0)).await;
    let mut events = Events::of(served.fresh(&format!("/orders/{order}/events")).await);
    take(&mut events, 5).await;
    served.stop().await;
    assert!(within("the stream ends", events.next()).await.is_none());
}

#[tokio::test]
async fn no_more_clients_follow_than_the_server_serves() {
    let mut served = Served::stale(Limits { streams_max: 1, ..Limits::default() }).await;
    served.start_projections();
    let first = Events::of(served.request("/events").send().await.unwrap());
    let second = served.request("/events").send().await.unwrap();
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(second.json::<Value>().await.unwrap()["type"], "/problems/too-many-streams");
    drop(first);
    let again = async { while !served.request("/events").send().await.unwrap().status().is_success() {} };
    within("the place is free again", again).await;
    served.stop().await;
}
