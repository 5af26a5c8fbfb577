//! Those who follow the shop live: whoever subscribes, from wherever, over however many connections,
//! gets each event once and in order.

use futures::future::join_all;

use crate::{
    crash_points::every_event_was_seen_once,
    harness::{Follower, Server, ServerOptions, eventually, key},
};

#[tokio::test]
async fn subscribers_see_every_event_once_and_in_order_while_orders_come_in() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    let from_the_beginning = Follower::start(&server, "/events");
    let first = client.buy(&[("MUG", 1)], "tok_approve").await;
    let of_one_order = Follower::start(&server, &format!("/orders/{first}/events"));

    let carts = (0..60).map(|n| {
        let payment_method = if n % 3 == 0 { "tok_decline" } else { "tok_webhook_twice" };
        let client = client.clone();
        async move { client.place(&key("cart"), &[("MUG", 1)], payment_method).await }
    });
    let order_ids = join_all(carts).await;
    let late = Follower::start(&server, "/events");
    for order_id in &order_ids {
        client.order_at_rest(order_id).await;
    }

    every_event_was_seen_once(&server, &from_the_beginning).await;
    every_event_was_seen_once(&server, &late).await;
    let everything = from_the_beginning.positions();
    let of_one = eventually("the order's own subscriber has seen it paid", || async {
        let positions = of_one_order.positions();
        (positions.len() >= 6).then_some(positions)
    })
    .await;
    assert!(of_one.is_sorted_by(|one, next| one < next), "{of_one:?}");
    assert!(of_one.iter().all(|position| everything.contains(position)));
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_subscriber_goes_on_where_it_was_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    let follower = Follower::start(&server, "/events");

    for _ in 0..3 {
        for _ in 0..5 {
            client.place(&key("cart"), &[("MUG", 1)], "tok_approve").await;
        }
        server.kill();
        server.restart_with(ServerOptions::default()).await;
    }
    client.buy(&[("MUG", 1)], "tok_approve").await;

    client.stock_at("MUG", 984, 0, 16).await;
    every_event_was_seen_once(&server, &follower).await;
    server.stop_and_verify().await;
}
