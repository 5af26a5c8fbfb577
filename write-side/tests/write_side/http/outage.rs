//! The store fails or is contended: never a 500, and never in doubt after asking again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use event_store::memory::{Fault, FaultPlan, Operation};
use futures::FutureExt;
use serde_json::json;

use super::{Shop, checkout, line};
use crate::rival::Rivalled;

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_a_503_and_asking_again_settles_it() {
    let shop = Shop::selling().await;
    let body = json!({"quantity": 1, "reference": "note"});
    for (operation, fault) in [
        (Operation::Append, Fault::Before),
        (Operation::Append, Fault::After),
        (Operation::Read, Fault::Before),
    ] {
        let key = format!("{operation:?} {fault:?}");
        let plan = (1..=20).fold(FaultPlan::none(), |plan, nth| plan.at(operation, nth, fault));
        let plan = match fault {
            // The product is read, the append is made, and then nothing is heard of the store any more.
            Fault::After => (2..=20).fold(plan, |plan, nth| plan.at(Operation::Read, nth, Fault::Before)),
            Fault::Before | Fault::Delay(_) => plan,
        };
        shop.store.set_faults(plan);
        let unavailable = shop.post("/stock/MUG/receipts", &key, &body).await;
        assert_eq!((unavailable.status.as_u16(), unavailable.problem()), (503, "unavailable"), "{key}");
        assert_eq!(unavailable.header("retry-after"), "1");
        shop.store.set_faults(FaultPlan::none());

        assert_eq!(shop.post("/stock/MUG/receipts", &key, &body).await.status, 200, "{key}");
    }
    assert_eq!(shop.log().await.len(), 5);
}

#[tokio::test]
async fn too_many_at_once_is_a_conflict_and_never_a_500() {
    let shop = Shop::selling().await;
    let (rival, tries) = (shop.clone(), Arc::new(AtomicU64::new(0)));
    let meanwhile = move |_| {
        let (rival, nth) = (rival.clone(), tries.fetch_add(1, Ordering::SeqCst));
        async move {
            let body = json!({"quantity": 1, "reference": "rival"});
            assert_eq!(rival.post("/stock/MUG/receipts", &format!("rival-{nth}"), &body).await.status, 200);
        }
        .boxed()
    };
    let hindered = Arc::new(Rivalled::new(shop.store.clone(), meanwhile));
    let body = json!({"quantity": 1, "reference": "note"});

    let answer = Shop::through(hindered, shop.store.clone()).post("/stock/MUG/receipts", "key", &body).await;

    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "contended"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(shop.post("/stock/MUG/receipts", "key", &body).await.status, 200);
}

#[tokio::test]
async fn a_checkout_whose_answer_was_lost_is_one_order() {
    let shop = Shop::selling().await;
    shop.store.set_faults(FaultPlan::none().at(Operation::Append, 1, Fault::After));

    let accepted = shop.post("/checkouts", "key", &checkout(&[line("MUG", 1)])).await;

    assert_eq!((accepted.status.as_u16(), accepted.header("idempotent-replayed")), (202, "true"));
    assert_eq!(shop.log().await.len(), 3);
}
