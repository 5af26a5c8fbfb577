//! Several coordinators on one database share the work out, and go on with what one of them leaves, however it
//! leaves.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use events::ids::PaymentId;
use sagas::coordinator::{Key, PARTITIONS, Partition};
use tokio::time::Instant;

use crate::{
    apart::Apart,
    place::Place,
    providers::Overheard,
    shop::{LEASE_TTL, Shop, order_id},
};

/// How long it takes at most to hand a partition over, on a machine that is busy with other things.
const SECONDS: Duration = Duration::from_secs(8);

async fn stocked() -> (Place, Shop) {
    let place = Place::new().await;
    let shop = place.shop().await;
    shop.receive("CUP", 1000).await;
    shop.receive("TEAPOT", 1000).await;
    (place, shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_share_the_work_out_and_nothing_is_done_by_both() {
    let (place, shop) = stocked().await;
    let overheard = [Overheard::new(shop.gateway.clone()), Overheard::new(shop.gateway.clone())];
    let [first, second] = overheard.clone().map(|gateway| Shop { gateway, ..shop.clone() });
    let (first, second) = (first.run("first"), second.run("second"));
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;

    shop.place_all(0..120).await;
    shop.wait_for(120).await;

    let [by_first, by_second] = overheard.map(|gateway| gateway.payments());
    assert!(by_first.is_disjoint(&by_second), "{:?}", by_first.intersection(&by_second));
    assert!(by_first.len() > 20 && by_second.len() > 20, "{} and {}", by_first.len(), by_second.len());
    let partitions = |payments: &BTreeSet<PaymentId>| -> BTreeSet<Partition> {
        payments.iter().map(|id| Partition::of(&Key::Payment(*id))).collect()
    };
    assert!(partitions(&by_first).is_disjoint(&partitions(&by_second)));
    first.shut_down().await;
    second.shut_down().await;
    shop.assert_all_is_right(120, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_leaves_that_is_killed_the_other_goes_on_with_in_the_time_of_a_lease() {
    let (place, shop) = stocked().await;
    let (first, second) = (shop.run("first"), shop.run("second"));
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;
    shop.place_all(0..60).await;
    shop.wait_for(20).await;
    first.kill().await;
    let killed = Instant::now();
    shop.place_all(60..90).await;
    place.wait_for_holders(&[("second", PARTITIONS.into())]).await;
    // A second for looking, and as much again for a machine that is busy with other things.
    let taken_over = killed.elapsed();
    assert!(taken_over < LEASE_TTL + Duration::from_secs(2), "{taken_over:?}");
    shop.wait_for(90).await;
    second.shut_down().await;
    shop.assert_all_is_right(90, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_gets_a_share_and_who_leaves_gives_it_back_while_work_goes_on() {
    let (place, shop) = stocked().await;
    let first = shop.run_with_long_leases("a");
    shop.place_all(0..30).await;
    let second = shop.run_with_long_leases("b");
    place.wait_for_holders(&[("a", 8), ("b", 8)]).await;
    shop.place_all(30..60).await;
    let third = shop.run_with_long_leases("c");
    let began = Instant::now();
    place.wait_for_holders(&[("a", 6), ("b", 5), ("c", 5)]).await;
    let joined = began.elapsed();
    assert!(joined < SECONDS, "{joined:?}");
    shop.place_all(60..90).await;
    second.shut_down().await;
    place.wait_for_holders(&[("a", 8), ("c", 8)]).await;
    shop.wait_for(90).await;
    first.shut_down().await;
    third.shut_down().await;
    shop.assert_all_is_right(90, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_take_too_long_keep_no_partition_from_who_is_to_have_it() {
    let (place, shop) = stocked().await;
    let silent = Overheard::silent(shop.gateway.clone());
    let first = Shop { gateway: silent.clone(), ..shop.clone() }.run_with_long_leases("a");
    shop.place_all(0..30).await;
    while silent.payments().len() < 30 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = shop.run_with_long_leases("b");
    let began = Instant::now();
    place.wait_for_holders(&[("a", 8), ("b", 8)]).await;
    let joined = began.elapsed();
    assert!(joined < SECONDS, "{joined:?}");

    let given: BTreeSet<Partition> = Partition::all().skip(8).collect();
    let is_given = |number: &usize| given.contains(&Partition::of(&Key::Checkout(order_id(*number))));
    let moved: Vec<usize> = (0..30).filter(is_given).collect();
    shop.wait_for(moved.len()).await;
    let ended = shop.checkouts().await;
    assert!(moved.iter().all(|number| ended[&order_id(*number).to_string()] != "CheckoutStockReserved"));
    silent.speak();
    shop.wait_for(30).await;
    first.shut_down().await;
    second.shut_down().await;
    shop.assert_all_is_right(30, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_paused_for_longer_than_its_leases_is_refused_and_joins_again() {
    let (place, shop) = stocked().await;
    let place = Arc::new(place);
    let first = Apart::run(&place, "first");
    place.wait_for_holders(&[("first", PARTITIONS.into())]).await;
    let second = shop.run("second");
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;
    shop.place_all(0..60).await;
    assert_eq!(*first.refused.lock().unwrap(), BTreeSet::new());

    first.pause(LEASE_TTL * 3).await;
    assert_eq!(place.holders().await, [("second".to_owned(), i64::from(PARTITIONS))]);
    shop.place_all(60..90).await;
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;

    assert_eq!(first.refused.lock().unwrap().len(), 8);
    shop.wait_for(90).await;
    first.shut_down.send(()).unwrap();
    first.thread.join().unwrap();
    place.wait_for_holders(&[("second", PARTITIONS.into())]).await;
    second.shut_down().await;
    shop.assert_all_is_right(90, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
    assert!(shop.checkouts().await.contains_key(&order_id(89).to_string()));
}
