//! Following orders live.

use events::ids::OrderId;
use futures::StreamExt;
use projections::{RebuildOptions, feed::Feed, orders::Orders};
use read_side::Limits;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    history::*,
    served::Served,
    world::{minute, within},
};

/// A server-sent event.
struct Told {
    id: String,
    name: String,
    data: Value,
}

impl Told {
    fn position(&self) -> u64 {
        self.data["position"].as_u64().unwrap()
    }
}

fn positions(events: &[Told]) -> Vec<u64> {
    events.iter().map(Told::position).collect()
}

/// The next `count` events of a stream.
async fn take(response: &mut Events, count: usize) -> Vec<Told> {
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
    async fn next(&mut self) -> Option<Told> {
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
                return Some(Told { id, name: field("event:").unwrap(), data });
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
    let names: Vec<&str> = first.iter().map(|told| told.name.as_str()).collect();
    assert_eq!(
        names,
        ["OrderPlaced", "PaymentRequested", "PaymentAuthorized", "OrderConfirmed", "PaymentCaptured"]
    );
    assert_eq!(first[3].data["status"], "confirmed");
    drop(events);

    served.world.payment(order, &refunded(order, 100), minute(1)).await;
    let resumed = served.request(&path).header("Last-Event-ID", &first[2].id).send().await.unwrap();
    let mut events = Events::of(resumed);
    served.world.payment(order, &refunded(order, 200), minute(1)).await;
    let rest = take(&mut events, 4).await;
    assert_eq!(positions(&rest), [4, 5, 11, 12]);
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
        assert_eq!(positions(&take(client, 29 * 5).await), (6..=150).collect::<Vec<u64>>());
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

/// A shop with two orders that are paid, and between them one whose events the feed cannot take in.
async fn shop_with_an_order_kept_back() -> (Served, OrderId) {
    let served = Served::start().await;
    let mut db = served.world.projector().await;
    let obstacle = format!("check (order_id <> '{}')", order_id(2));
    let obstacle = format!("alter table feed_v1.changes add constraint in_the_way {obstacle}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(obstacle)).execute(&mut db).await.unwrap();
    for number in 1..=3 {
        served.world.paid_order(number, minute(0)).await;
    }
    served.fresh("/events").await;
    (served, order_id(2))
}

/// Makes the events fit, and lets them in.
async fn let_in(served: &Served) {
    let mut db = served.world.projector().await;
    sqlx::raw_sql("alter table feed_v1.changes drop constraint in_the_way").execute(&mut db).await.unwrap();
    let projector = &served.world.databases.projector;
    let retried = projections::retry(&Feed, None, &*served.world.store, projector).await.unwrap();
    assert_eq!(retried.iter().map(|stream| stream.applied).sum::<u64>(), 5);
}

#[tokio::test]
async fn what_came_in_late_sends_followers_back_and_reaches_them() {
    let (served, late) = shop_with_an_order_kept_back().await;
    let from_the_start = async || Events::of(served.request("/events?after=0").send().await.unwrap());
    let of =
        async |order| Events::of(served.request(&format!("/orders/{order}/events")).send().await.unwrap());
    let mut follower = from_the_start().await;
    let mut of_another = of(order_id(3)).await;
    let mut of_the_late = of(late).await;
    let before = take(&mut follower, 10).await;
    assert_eq!(positions(&before), [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]);
    take(&mut of_another, 5).await;

    let_in(&served).await;
    let reset = take(&mut follower, 1).await.remove(0);
    assert_eq!((reset.name.as_str(), reset.position()), ("reset", 5));
    assert_eq!(positions(&take(&mut follower, 10).await), (6..=15).collect::<Vec<u64>>());
    assert_eq!(positions(&take(&mut of_the_late, 5).await), [6, 7, 8, 9, 10]);
    // Whom it does not concern goes on undisturbed.
    served.world.payment(order_id(3), &refunded(order_id(3), 100), minute(1)).await;
    assert_eq!(positions(&take(&mut of_another, 1).await), [16]);

    // Whoever was away meanwhile is sent back when he returns, and only once; so is who only kept a
    // position. Who begins after it is not.
    let return_with = async |id: &str| {
        Events::of(served.request("/events").header("Last-Event-ID", id).send().await.unwrap())
    };
    for id in [before[9].id.as_str(), "15"] {
        let mut returned = return_with(id).await;
        let seen = take(&mut returned, 12).await;
        assert_eq!((seen[0].name.as_str(), seen[0].position()), ("reset", 5), "after {id}");
        assert_eq!(positions(&seen[1..]), (6..=16).collect::<Vec<u64>>());
        assert_eq!(positions(&take(&mut return_with(&seen[3].id).await, 1).await), [9]);
    }
    assert_eq!(take(&mut from_the_start().await, 16).await.last().unwrap().position(), 16);
    // What is behind all of it sends nobody back.
    assert_eq!(positions(&take(&mut return_with("3-0").await, 2).await), [4, 5]);
    served.stop().await;
}

#[tokio::test]
async fn a_version_that_keeps_less_back_sends_followers_back_as_well() {
    let (served, _) = shop_with_an_order_kept_back().await;
    let mut follower = Events::of(served.request("/events?after=0").send().await.unwrap());
    take(&mut follower, 10).await;

    // The next version has no such obstacle.
    let options = RebuildOptions { accept_differences: true, ..RebuildOptions::default() };
    served.world.rebuild(Feed, &options).await.unwrap();
    let seen = take(&mut follower, 11).await;
    assert_eq!((seen[0].name.as_str(), seen[0].position()), ("reset", 5));
    assert_eq!(positions(&seen[1..]), (6..=15).collect::<Vec<u64>>());
    served.stop().await;
}

#[tokio::test]
async fn an_order_that_is_kept_back_says_so_and_claims_no_more_than_it_shows() {
    let served = Served::start().await;
    let order = order_id(1);
    served.world.order(order, &placed(order, None, vec![line("mug", 1, 250)]), minute(0)).await;
    let path = format!("/orders/{order}");
    served.fresh_json(&path).await;
    let mut db = served.world.projector().await;
    sqlx::raw_sql("alter table orders_v1.orders add constraint in_the_way check (status <> 'confirmed')")
        .execute(&mut db)
        .await
        .unwrap();
    served.world.order(order, &confirmed(order, 250), minute(1)).await;
    served.world.order(order_id(2), &placed(order_id(2), None, vec![line("mug", 1, 250)]), minute(2)).await;
    served.fresh_json("/orders").await;

    let answer = served.request(&path).send().await.unwrap();
    assert_eq!(answer.headers()["counterfoil-position"], "1");
    assert_eq!(answer.headers()["etag"], "\"0-before-2\"");
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["status"], &body["kept_back_from"]), (&json!("placed"), &json!(2)));
    let wanted = served.request(&path).header("Counterfoil-At-Least", 2).send().await.unwrap();
    assert_eq!(wanted.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = wanted.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/not-fresh-enough");
    assert_eq!((&problem["position"], &problem["at_least"]), (&json!(1), &json!(2)));

    sqlx::raw_sql("alter table orders_v1.orders drop constraint in_the_way").execute(&mut db).await.unwrap();
    let projector = &served.world.databases.projector;
    projections::retry(&Orders, None, &*served.world.store, projector).await.unwrap();
    let body = served.fresh_json(&path).await;
    assert_eq!((&body["status"], &body["kept_back_from"]), (&json!("confirmed"), &Value::Null));
    served.stop().await;
}
