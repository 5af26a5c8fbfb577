//! Those who follow the shop live: whoever subscribes, from wherever, over however many connections,
//! gets each event once and in order.

use event_store::{Filter, Position};
use futures::future::join_all;

use crate::{
    crash_points::every_event_was_seen_once,
    harness::{Follower, Server, ServerOptions, key},
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
    let written = of_order(&server, &first).await;
    assert_eq!(of_one_order.until(*written.last().unwrap()).await, written);
    server.stop_and_verify().await;
}

/// The positions of all events of an order and its payment.
async fn of_order(server: &Server, order_id: &str) -> Vec<Position> {
    let mut positions = Vec::new();
    for stream in [format!("order-{order_id}"), format!("payment-{order_id}")] {
        positions.extend(server.log().stream(&stream).await.iter().map(|event| event.position));
    }
    positions.sort();
    positions
}

#[tokio::test]
async fn whoever_comes_back_with_any_last_event_id_gets_everything_behind_it_and_nothing_else() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    // Side by side, so that events of one order have those of another next to them.
    let order_ids = join_all((0..3).map(|_| client.buy(&[("MUG", 1)], "tok_approve"))).await;
    server.come_to_rest().await;
    let mut everything = Vec::new();
    for order_id in &order_ids {
        everything.extend(of_order(&server, order_id).await);
    }
    everything.sort();

    let head = server.log().head().await;
    let mine = of_order(&server, &order_ids[0]).await;
    for (path, written) in
        [("/events".to_owned(), everything), (format!("/orders/{}/events", order_ids[0]), mine)]
    {
        // Behind each position of the log, not only those that are given to subscribers.
        for event in server.log().all(&Filter::all()).await {
            let after = event.position;
            let expected: Vec<_> = written.iter().copied().filter(|position| *position > after).collect();
            let Some(last) = expected.last() else { continue };
            let follower = Follower::start_behind(&server, &path, after);
            assert_eq!(follower.until(*last).await, expected, "{path} behind {after} of {head}");
        }
    }
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
