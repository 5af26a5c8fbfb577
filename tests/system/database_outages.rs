//! A database that goes away: crashed under load, cut off during a commit, silent. What was acknowledged
//! is there, what was not is made once when it is asked for again, and nobody has to help.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};

use crate::harness::{Acknowledged, Books, Client, PrivateDatabase, Server, ServerOptions, checkout, key};

/// A server on a database that the test can break.
pub(crate) async fn server_on(database: &PrivateDatabase, planted_bugs: Option<&'static str>) -> Server {
    let options =
        ServerOptions { database_url: Some(database.url()), planted_bugs, ..ServerOptions::default() };
    Server::start_with(options).await
}

/// Sends a checkout again with the same key until it is accepted, as a good client does. Every answer
/// that says it is accepted is kept.
async fn place_stubbornly(client: &Client, key: &str, acknowledged: &Acknowledged) -> String {
    let answer = client.insist("/checkouts", key, &checkout(&[("MUG", 1)], "tok_approve")).await.expect(202);
    acknowledged.keep_checkout(key, &answer)
}

/// Checkouts in a row and side by side while the database is stopped at once, twice.
pub(crate) async fn check_out_while_the_database_crashes(
    client: &Client,
    database: &Arc<PrivateDatabase>,
    acknowledged: &Acknowledged,
) -> Vec<String> {
    client.stock("MUG", 1250, 1000).await;
    let crashes = {
        let (database, acknowledged) = (Arc::clone(database), acknowledged.clone());
        tokio::spawn(async move {
            for after in [15, 45] {
                crate::harness::eventually("there is load", || async {
                    (acknowledged.len() >= after).then_some(())
                })
                .await;
                let database = Arc::clone(&database);
                tokio::task::spawn_blocking(move || {
                    database.server.crash().unwrap();
                    database.server.resume().unwrap();
                })
                .await
                .unwrap();
            }
        })
    };
    let order_ids = stream::iter(0..80)
        .map(|n| async move { place_stubbornly(client, &format!("cart-{n}"), acknowledged).await })
        .buffer_unordered(8)
        .collect()
        .await;
    crashes.await.unwrap();
    order_ids
}

#[tokio::test]
async fn a_database_that_is_stopped_at_once_under_load_loses_nothing_that_was_acknowledged() {
    let database = Arc::new(PrivateDatabase::start().await);
    let mut server = server_on(&database, None).await;
    let client = server.client();
    let acknowledged = Acknowledged::default();

    let order_ids = check_out_while_the_database_crashes(&client, &database, &acknowledged).await;

    for order_id in &order_ids {
        client.order_at(order_id, "confirmed", "captured").await;
    }
    client.stock_at("MUG", 920, 0, 80).await;
    server.stop_and_verify_told(&acknowledged).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_during_any_commit_of_a_checkout_leaves_one_order() {
    let database = PrivateDatabase::start().await;
    let mut server = server_on(&database, None).await;
    let client = server.client();
    client.stock("MUG", 1250, 100).await;

    let acknowledged = Acknowledged::default();
    let mut orders = Vec::new();
    for written in
        ["OrderPlaced", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "CheckoutPaymentCaptured"]
    {
        for committed in [false, true] {
            let cuts = database.proxy.cuts();
            // The events of a batch travel in one message; the answer to it says that it is committed.
            if committed {
                database.proxy.lose_answer(written.as_bytes());
            } else {
                database.proxy.lose_request(written.as_bytes());
            }
            let order_id = place_stubbornly(&client, &key("cart"), &acknowledged).await;
            client.order_at(&order_id, "confirmed", "captured").await;
            assert_eq!(database.proxy.cuts(), cuts + 1, "nothing was cut at {written}");
            orders.push(order_id);
        }
    }

    client.stock_at("MUG", 90, 0, 10).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    for order_id in &orders {
        let book = books.of(order_id).unwrap();
        assert_eq!((book.authorized, book.captured), (1250, 1250), "{book:#?}");
    }
    server.stop_and_verify_told(&acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restarted_or_falls_silent_is_waited_for() {
    let database = PrivateDatabase::start().await;
    let mut server = server_on(&database, None).await;
    let client = server.client();
    client.stock("MUG", 1250, 100).await;
    let acknowledged = Acknowledged::default();

    tokio::task::block_in_place(|| {
        database.server.stop().unwrap();
    });
    let refused = client.try_post("/checkouts", "early", &checkout(&[("MUG", 1)], "tok_approve")).await;
    let refused = refused.expect("the server answers");
    assert_eq!(refused.status, 503, "{:#}", refused.body);
    assert!(!refused.header("retry-after").is_empty());
    assert!(!client.is_ready(None).await, "it says that it is ready, without a database");
    database.server.resume().unwrap();
    let order_id = place_stubbornly(&client, "early", &acknowledged).await;
    client.order_at(&order_id, "confirmed", "captured").await;

    database.proxy.hold();
    let waiting = tokio::spawn({
        let (client, acknowledged) = (client.clone(), acknowledged.clone());
        async move { place_stubbornly(&client, "silent", &acknowledged).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished(), "it was answered without a database");
    database.proxy.forward();
    client.order_at(&waiting.await.unwrap(), "confirmed", "captured").await;
    client.stock_at("MUG", 98, 0, 2).await;
    server.stop_and_verify_told(&acknowledged).await;
}
