//! On the store in memory, with the provider's books in memory: the engine alone.

use std::sync::Arc;

use event_store::memory::MemoryStore;
use events::order::Origin;
use platform::clock::Clock;
use sagas::{
    coordinator::MemoryState,
    gateway::sandbox::{
        memory::{FaultPlan, MemoryGateway},
        signature::Secrets,
        tokens,
    },
};
use write_side::Commands;

use crate::shop::{Shop, order_id};

fn shop() -> (Shop, Arc<MemoryGateway>) {
    let clock = Clock::system();
    let gateway = Arc::new(MemoryGateway::new(clock.clone(), Secrets::new("secret"), FaultPlan::default()));
    let store = Arc::new(MemoryStore::new());
    let shop = Shop {
        commands: Commands::new(store.clone()),
        store,
        gateway: gateway.clone(),
        state: Arc::new(MemoryState::new(clock)),
    };
    (shop, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_orders_at_once_each_end_as_they_should() {
    let (shop, gateway) = shop();
    shop.receive("CUP", 1000).await;
    shop.receive("TEAPOT", 1000).await;
    let running = shop.run("only");
    shop.place_all(0..300).await;
    shop.wait_for(300).await;
    running.shut_down().await;
    shop.assert_all_is_right(300, &gateway.books()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_of_a_hundred_get_the_last_ten_units() {
    let (shop, gateway) = shop();
    shop.receive("CUP", 10).await;
    let running = shop.run("only");
    for number in 0..100 {
        shop.place(number, &["CUP"], tokens::APPROVE, Origin::Live).await;
    }
    shop.wait_for(100).await;
    running.shut_down().await;
    let checkouts = shop.checkouts().await;
    assert_eq!(checkouts.values().filter(|last| *last == "CheckoutCompleted").count(), 10);
    assert_eq!(gateway.books().len(), 10);
    assert_eq!(shop.commands.inventory.load("CUP").await.unwrap().0.reserved(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_starts_later_takes_on_what_is_waiting() {
    let (shop, gateway) = shop();
    shop.receive("CUP", 1000).await;
    shop.receive("TEAPOT", 1000).await;
    shop.place_all(0..30).await;
    assert!(shop.checkouts().await.is_empty());
    let running = shop.run("only");
    shop.wait_for(30).await;
    running.shut_down().await;
    shop.assert_all_is_right(30, &gateway.books()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_stream_cannot_be_read_is_put_aside_and_the_others_go_on() {
    let (shop, _) = shop();
    shop.receive("CUP", 1000).await;
    let poison = event_store::NewEvent {
        id: uuid::Uuid::new_v4(),
        name: "OrderPlaced".to_owned(),
        version: 2,
        payload: bytes::Bytes::from_static(b"{\"not\": \"an order\"}"),
        metadata: shop_metadata(),
    };
    let stream = events::Category::Order.stream(order_id(0));
    shop.store.append(&stream, event_store::ExpectedRevision::NoStream, vec![poison]).await.unwrap();
    let running = shop.run("only");
    shop.place(1, &["CUP"], tokens::APPROVE, Origin::Live).await;
    shop.wait_for(1).await;
    running.shut_down().await;
    let kept = shop.kept().await;
    let mut wakes = kept.iter().flat_map(|kept| &kept.wakes);
    assert!(wakes.any(|(_, wake)| wake.waiting == "put_aside"), "{kept:?}");
    assert!(!shop.checkouts().await.contains_key(&order_id(0).to_string()));
}

fn shop_metadata() -> events::Metadata {
    events::Metadata {
        occurred_at: Clock::system().now(),
        correlation_id: uuid::Uuid::nil(),
        causation_id: uuid::Uuid::nil(),
        command_id: uuid::Uuid::nil(),
        request_digest: None,
        actor: events::Actor::Client,
        traceparent: None,
    }
}
