//! On Postgres, with the provider behind HTTP and its webhooks coming back: killed and started again in the
//! middle, twice at once, and paused.

use events::order::Origin;
use sagas::{coordinator::PARTITIONS, gateway::sandbox::tokens};

use crate::{
    place::Place,
    shop::{Shop, order_id},
};

async fn shop() -> (Shop, Place) {
    let place = Place::new().await;
    (place.shop().await, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_resumes_and_charges_nobody_twice() {
    let (shop, place) = shop().await;
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
    shop.assert_all_is_right(90, &place.books().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_of_which_one_dies_lose_and_double_nothing() {
    let (shop, place) = shop().await;
    shop.receive("CUP", 1000).await;
    shop.receive("TEAPOT", 1000).await;
    let (first, second) = (shop.run("first"), shop.run("second"));
    shop.place_all(0..60).await;
    shop.wait_for(20).await;
    first.kill().await;
    shop.place_all(60..90).await;
    shop.wait_for(90).await;
    second.shut_down().await;
    shop.assert_all_is_right(90, &place.books().await).await;
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
async fn a_graceful_shutdown_gives_everything_back_at_once() {
    let (shop, place) = shop().await;
    let running = shop.run("first");
    shop.receive("CUP", 1000).await;
    shop.place(0, &["CUP"], tokens::APPROVE, Origin::Live).await;
    shop.wait_for(1).await;
    running.shut_down().await;
    assert_eq!(place.holders().await, []);
    let claim = shop.state.claim("second", std::time::Duration::from_secs(1), &[]).await.unwrap();
    assert_eq!((claim.share, claim.gained.len()), (PARTITIONS.into(), PARTITIONS.into()));
    let kept = shop.kept().await;
    assert_eq!(kept.len(), usize::from(PARTITIONS));
    for kept in kept {
        assert!(kept.checkpoint > event_store::Position::START && kept.wakes.is_empty(), "{kept:?}");
    }
}
