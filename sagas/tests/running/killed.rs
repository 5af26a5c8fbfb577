//! On Postgres, with the provider behind HTTP and its webhooks coming back: killed and started again in the
//! middle, twice at once, and paused.

use std::{sync::Arc, time::Duration};

use event_store::postgres::{PostgresStore, migrate as migrate_store};
use events::order::Origin;
use platform::{clock::Clock, postgres::testing::fresh_database};
use sagas::{
    coordinator::{PostgresState, migrate},
    gateway::sandbox::{
        self,
        books::PaymentBook,
        client::SandboxGateway,
        server::{ServerOptions, serve},
        signature::Secrets,
        tokens,
    },
    webhook,
};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use write_side::Commands;

use crate::shop::{Shop, order_id};

/// A shop on a new database, and the address of its provider.
async fn shop() -> (Shop, String) {
    let databases = fresh_database().await;
    migrate_store(&databases.owner).await.unwrap();
    migrate(&databases.owner).await.unwrap();
    sandbox::migrate(&databases.owner).await.unwrap();
    let store = Arc::new(PostgresStore::connect(databases.service.clone()).await.unwrap());
    let (provider, webhooks) = (listener().await, listener().await);
    let url = format!("http://{}", provider.local_addr().unwrap());
    let webhook_url = format!("http://{}/webhooks/payments/sandbox", webhooks.local_addr().unwrap());
    let gateway = Arc::new(SandboxGateway::new(&url, Secrets::new("secret")).unwrap());
    let options = ServerOptions { secret: b"secret".to_vec(), webhook_url, clock: Clock::system() };
    let pool = PgPool::connect_with(databases.service.clone()).await.unwrap();
    tokio::spawn(serve(provider, pool, options, CancellationToken::new()));
    let door = webhook::router(gateway.clone(), store.clone(), Clock::system());
    tokio::spawn(async move { axum::serve(webhooks, door).await });
    let shop = Shop {
        commands: Commands::new(store.clone()),
        store,
        gateway,
        state: Arc::new(PostgresState::new(&databases.service)),
    };
    (shop, url)
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn books(url: &str) -> Vec<PaymentBook> {
    reqwest::get(format!("{url}/books")).await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_resumes_and_charges_nobody_twice() {
    let (shop, url) = shop().await;
    shop.receive("CUP", 1000).await;
    shop.receive("TEAPOT", 1000).await;
    shop.place_all(0..60).await;
    for kill in 1..=8 {
        let running = shop.run("only");
        // Somewhere in the middle, a little further each time.
        shop.wait_for(kill * 5).await;
        running.kill().await;
    }
    shop.place_all(60..90).await;
    let running = shop.run("only");
    shop.wait_for(90).await;
    running.shut_down().await;
    shop.assert_all_is_right(90, &books(&url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_of_which_one_dies_lose_and_double_nothing() {
    let (shop, url) = shop().await;
    shop.receive("CUP", 1000).await;
    shop.receive("TEAPOT", 1000).await;
    let (first, second) = (shop.run("first"), shop.run("second"));
    shop.place_all(0..60).await;
    shop.wait_for(20).await;
    first.kill().await;
    shop.place_all(60..90).await;
    shop.wait_for(90).await;
    second.shut_down().await;
    shop.assert_all_is_right(90, &books(&url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_payment_is_finished_by_its_webhook_and_a_slow_one_keeps_nobody_waiting() {
    let (shop, _) = shop().await;
    shop.receive("CUP", 1000).await;
    let running = shop.run("only");
    shop.place(0, &["CUP"], tokens::WEBHOOK_ONLY, Origin::Live).await;
    shop.place(1, &["CUP"], tokens::SLOW, Origin::Live).await;
    shop.place(2, &["CUP"], tokens::TIMEOUT_THEN_DECLINE, Origin::Live).await;
    shop.place(3, &["CUP"], tokens::WEBHOOK_FIRST, Origin::Live).await;
    shop.wait_for(4).await;
    running.shut_down().await;
    let checkouts = shop.checkouts().await;
    for (number, last) in [
        (0, "CheckoutCompleted"),
        (1, "CheckoutCompleted"),
        (2, "CheckoutCompensated"),
        (3, "CheckoutCompleted"),
    ] {
        assert_eq!(checkouts[&order_id(number).to_string()], last, "order {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_shutdown_gives_the_lease_back_at_once() {
    let (shop, _) = shop().await;
    let running = shop.run("first");
    shop.receive("CUP", 1000).await;
    shop.place(0, &["CUP"], tokens::APPROVE, Origin::Live).await;
    shop.wait_for(1).await;
    running.shut_down().await;
    assert!(shop.state.acquire("second", Duration::from_secs(1)).await.unwrap().is_some());
    let kept = shop.state.load().await.unwrap();
    assert!(kept.checkpoint > event_store::Position::START && kept.wakes.is_empty(), "{kept:?}");
}
