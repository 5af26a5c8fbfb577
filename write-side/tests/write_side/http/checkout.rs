//! Checkouts: prices from the catalog, the total that was expected, personal data sealed.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::inventory;
use event_store::{
    EventStore, ExpectedRevision, NewEvent,
    memory::{Fault, FaultPlan, Operation},
};
use events::{
    Actor, StreamName,
    codec::DomainEvent,
    ids::ReservationId,
    order::{OrderEvent, Placed},
    sealed::PersonKey,
};
use futures::FutureExt;
use platform::{
    clock::Clock,
    keys::{self, Key, KeyStore},
};
use serde_json::{Value, json};
use uuid::Uuid;
use write_side::{
    CommandContext,
    api::{Api, router},
};

use super::{Shop, checkout, gbp, line, money, today};
use crate::rival::Rivalled;

async fn placed(shop: &Shop) -> Placed {
    let log = shop.log().await;
    let event = log.last().unwrap();
    let OrderEvent::Placed(placed) = OrderEvent::decode(&event.name, event.version, &event.payload).unwrap()
    else {
        panic!("{event:?}");
    };
    placed
}

#[tokio::test]
async fn a_checkout_is_priced_by_the_catalog_line_by_line() {
    let shop = Shop::selling().await;

    let accepted =
        shop.post("/checkouts", "1", &checkout(&[line("MUG", 3), line("SPOON", 15), line("MUG", 1)])).await;

    let order_id = accepted.body["order_id"].as_str().unwrap();
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.header("location"), format!("/orders/{order_id}"));
    assert_eq!((accepted.header("counterfoil-position"), accepted.header("etag")), ("3", "\"0\""));
    // 15 spoons at a tenth of a penny are a penny and a half, which is two.
    assert_eq!(accepted.body["total"], gbp(2_002));
    let placed = placed(&shop).await;
    let lines: Vec<_> =
        placed.lines.iter().map(|line| (line.sku.as_str(), line.quantity, line.amount.amount)).collect();
    assert_eq!(lines, [("MUG", 3, 1_500), ("SPOON", 15, 2), ("MUG", 1, 500)]);
    assert_eq!((placed.order_id.to_string().as_str(), placed.total.amount), (order_id, 2_002));
}

#[tokio::test]
async fn the_envelope_says_who_when_and_on_which_journey() {
    let shop = Shop::selling().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("idempotency-key", "1"), ("traceparent", trace)];

    let accepted = shop.post_with("/checkouts", &headers, &checkout(&[line("MUG", 1)])).await;

    let metadata = shop.log().await.pop().unwrap().metadata;
    assert_eq!(metadata.correlation_id.to_string(), accepted.body["order_id"]);
    assert_eq!(metadata.occurred_at, today());
    assert_eq!(metadata.traceparent.as_deref(), Some(trace));
    assert_eq!(metadata.actor, events::Actor::Client);
    assert!(metadata.request_digest.is_some());
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_time_whatever_the_prices_are_by_now() {
    let shop = Shop::selling().await;
    let mut body = checkout(&[line("MUG", 2)]);
    body["expected_total"] = gbp(1_000);
    let first = shop.post("/checkouts", "1", &body).await;
    shop.post("/products/MUG/prices", "reprice", &json!({"price": gbp(900)})).await;
    shop.post("/products/MUG/withdrawal", "withdraw", &json!({"reason": "broke"})).await;

    for shop in [&shop, &Shop::on(shop.store.clone())] {
        let again = shop.post("/checkouts", "1", &body).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("etag"), first.header("etag"));
    }
    assert_eq!(first.header("idempotent-replayed"), "");
}

#[tokio::test]
async fn a_repeat_is_answered_also_where_nothing_can_be_appended() {
    let shop = Shop::selling().await;
    let body = checkout(&[line("MUG", 1)]);
    let first = shop.post("/checkouts", "1", &body).await;
    let other = Shop::on(shop.store.clone());
    let full = (1..=50).fold(FaultPlan::none(), |plan, nth| plan.at(Operation::Append, nth, Fault::Before));
    shop.store.set_faults(full);

    let again = other.post("/checkouts", "1", &body).await;

    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(other.post("/checkouts", "2", &body).await.status, 503);
}

#[tokio::test]
async fn a_repeat_makes_no_key_for_a_person_who_was_erased_since() {
    let shop = Shop::selling().await;
    let mut body = checkout(&[line("MUG", 1)]);
    body["customer_id"] = json!(Uuid::from_u128(5));
    body["contact"] = json!({"name": "Ada", "email": "ada@example.org", "address": "1 Mill Lane"});
    let first = shop.post("/checkouts", "1", &body).await;
    assert!(shop.keys.erase(Uuid::from_u128(5)).await.unwrap());

    let again = shop.post("/checkouts", "1", &body).await;

    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(shop.keys.get(Uuid::from_u128(5)).await.unwrap(), None);
    // Whoever comes back gets a new one.
    assert_eq!(shop.post("/checkouts", "2", &body).await.status, 202);
    assert!(shop.keys.get(Uuid::from_u128(5)).await.unwrap().is_some());
}

/// Receives units of mugs and lets orders of others hold as many.
async fn sell_out(shop: &Shop, units: i64) {
    let receipt = json!({"quantity": units, "reference": "delivery note"});
    assert_eq!(shop.post("/stock/MUG/receipts", "receipt", &receipt).await.status, 200);
    hold(shop, units).await;
}

async fn hold(shop: &Shop, units: i64) {
    let order_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &units.to_be_bytes());
    let reservation_id = ReservationId(order_id);
    let sku = "MUG".parse().unwrap();
    let expires_at = today() + TimeDelta::days(1);
    let command = inventory::Command::Reserve { sku, reservation_id, quantity: units, expires_at };
    let context = CommandContext {
        command_id: order_id,
        correlation_id: order_id,
        causation_id: order_id,
        actor: Actor::Saga("checkout".to_owned()),
        occurred_at: today(),
        request_digest: None,
        traceparent: None,
        expected_revision: None,
    };
    shop.commands.inventory.handle("MUG", command, context).await.unwrap();
}

#[tokio::test]
async fn what_is_sold_out_is_refused_at_once_and_no_order_is_placed() {
    let shop = Shop::selling().await;
    sell_out(&shop, 3).await;
    let mut body = checkout(&[line("SPOON", 10), line("MUG", 1), line("MUG", 2)]);
    body["customer_id"] = json!(Uuid::from_u128(5));
    body["contact"] = json!({"name": "Ada", "email": "ada@example.org", "address": "1 Mill Lane"});
    let before = shop.log().await.len();

    // By the process that sold it, and by one that has heard of nothing yet.
    for shop in [&shop, &Shop::on(shop.store.clone())] {
        let refused = shop.post("/checkouts", "1", &body).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (409, "sold-out"));
        let gone = "nothing is left of it";
        assert_eq!(refused.faults(), [("/lines/1/sku", gone), ("/lines/2/sku", gone)]);
        assert_eq!(shop.keys.get(Uuid::from_u128(5)).await.unwrap(), None);
    }

    assert_eq!(shop.log().await.len(), before);
    let receipt = json!({"quantity": 1, "reference": "found one"});
    assert_eq!(shop.post("/stock/MUG/receipts", "found", &receipt).await.status, 200);
    // Three of one that is left: that is for the coordinator to refuse, and the key is as good as new.
    assert_eq!(shop.post("/checkouts", "1", &body).await.status, 202);
}

#[tokio::test]
async fn stock_that_cannot_be_read_keeps_nobody_from_ordering() {
    let shop = Shop::selling().await;
    sell_out(&shop, 3).await;
    let last = shop.log().await.pop().unwrap();
    let haunted = NewEvent {
        id: Uuid::from_u128(13),
        name: "StockHaunted".to_owned(),
        version: 1,
        payload: "{}".into(),
        metadata: last.metadata,
    };
    shop.store.append(&last.stream, ExpectedRevision::Any, vec![haunted]).await.unwrap();

    assert_eq!(shop.post("/checkouts", "1", &checkout(&[line("MUG", 1)])).await.status, 202);
}

#[tokio::test]
async fn what_is_no_longer_sold_at_all_is_not_called_sold_out() {
    let shop = Shop::selling().await;
    sell_out(&shop, 3).await;
    shop.post("/products/MUG/withdrawal", "withdraw", &json!({"reason": "broke"})).await;

    let refused = shop.post("/checkouts", "1", &checkout(&[line("MUG", 1)])).await;

    assert_eq!((refused.status.as_u16(), refused.problem()), (422, "lines-not-sellable"));
}

#[tokio::test]
async fn who_has_bought_the_last_one_is_answered_as_the_first_time() {
    let shop = Shop::selling().await;
    let receipt = json!({"quantity": 1, "reference": "delivery note"});
    shop.post("/stock/MUG/receipts", "receipt", &receipt).await;
    let body = checkout(&[line("MUG", 1)]);
    let first = shop.post("/checkouts", "1", &body).await;
    hold(&shop, 1).await;

    for shop in [&shop, &Shop::on(shop.store.clone())] {
        let again = shop.post("/checkouts", "1", &body).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(shop.post("/checkouts", "1", &checkout(&[line("MUG", 2)])).await.status, 422);
        assert_eq!(shop.post("/checkouts", "2", &body).await.problem(), "sold-out");
    }
}

#[tokio::test]
async fn twins_in_flight_get_one_order_and_one_answer() {
    let shop = Shop::selling().await;
    let body = checkout(&[line("MUG", 1)]);

    let twins = (0..16).map(|_| shop.post("/checkouts", "1", &body));
    let answers = futures::future::join_all(twins).await;

    assert!(answers.iter().all(|answer| answer.status == 202 && answer.body == answers[0].body));
    let first_times = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty());
    assert_eq!(first_times.count(), 1);
    assert_eq!(shop.log().await.len(), 3);
}

#[tokio::test]
async fn a_twin_that_was_overtaken_is_told_what_the_faster_one_was_told() {
    let shop = Shop::selling().await;
    let faster = shop.clone();
    let meanwhile = move |stream: StreamName| {
        let faster = faster.clone();
        async move {
            assert_eq!(stream.category(), "order");
            // Between the slower one's reading of the price and its append.
            faster.post("/products/MUG/prices", "reprice", &json!({"price": gbp(900)})).await;
            faster.post("/checkouts", "key", &checkout(&[line("MUG", 1)])).await;
        }
        .boxed()
    };
    let port = Arc::new(Rivalled::new(shop.store.clone(), meanwhile));
    let slower = Shop::through(port, shop.store.clone());

    let answer = slower.post("/checkouts", "key", &checkout(&[line("MUG", 1)])).await;

    assert_eq!((answer.status.as_u16(), answer.header("idempotent-replayed")), (202, "true"));
    assert_eq!(answer.body["total"], gbp(900));
    assert_eq!(placed(&shop).await.total.amount, 900);
}

#[tokio::test]
async fn a_contact_that_cannot_be_sealed_now_places_no_order() {
    struct NoKeys;

    #[async_trait]
    impl KeyStore for NoKeys {
        async fn get_or_create(&self, _: Uuid) -> Result<Key, keys::Error> {
            Err(keys::Error::NoRandomness(std::io::Error::other("dry")))
        }

        async fn get(&self, _: Uuid) -> Result<Option<Key>, keys::Error> {
            Ok(None)
        }

        async fn erase(&self, _: Uuid) -> Result<bool, keys::Error> {
            Ok(false)
        }
    }
    let mut shop = Shop::selling().await;
    let api = Api::new(shop.commands.clone(), Arc::new(NoKeys), Clock::manual(today()));
    shop.router = router(api);
    let mut body = checkout(&[line("MUG", 1)]);
    body["contact"] = json!({"name": "Ada", "email": "ada@example.com", "address": "1 Row"});

    let refused = shop.post("/checkouts", "key", &body).await;

    assert_eq!((refused.status.as_u16(), refused.problem()), (503, "unavailable"));
    assert_eq!(shop.log().await.len(), 2);
}

#[tokio::test]
async fn a_total_that_is_not_the_expected_one_is_a_conflict_with_both_numbers() {
    let shop = Shop::selling().await;
    let mut body = checkout(&[line("MUG", 2)]);
    body["expected_total"] = gbp(999);

    let differs = shop.post("/checkouts", "1", &body).await;
    body["expected_total"] = money(1_000, "EUR");
    let other_currency = shop.post("/checkouts", "1", &body).await;
    body["expected_total"] = gbp(1_000);
    let fits = shop.post("/checkouts", "1", &body).await;

    assert_eq!((differs.status.as_u16(), differs.problem()), (409, "total-differs"));
    assert_eq!((&differs.body["total"], &differs.body["expected_total"]), (&gbp(1_000), &gbp(999)));
    assert_eq!(
        other_currency.faults(),
        [("/expected_total/currency", "must be the currency of the checkout")]
    );
    assert_eq!(fits.status, 202);
}

#[tokio::test]
async fn every_line_that_cannot_be_sold_is_named() {
    let shop = Shop::selling().await;
    shop.post("/products", "f", &json!({"sku": "FORK", "title": "A fork", "prices": [gbp(1)]})).await;
    shop.post("/products/FORK/withdrawal", "w", &json!({"reason": "bent"})).await;
    let before = shop.log().await.len();
    let mut body = checkout(&[line("NONE", 1), line("MUG", 1), line("SPOON", 1), line("FORK", 1)]);
    body["currency"] = json!("EUR");

    let refused = shop.post("/checkouts", "1", &body).await;

    assert_eq!((refused.status.as_u16(), refused.problem()), (422, "lines-not-sellable"));
    assert_eq!(
        refused.faults(),
        [
            ("/lines/0/sku", "there is no product with this SKU"),
            ("/lines/2/sku", "the product has no price in EUR"),
            ("/lines/3/sku", "the product is withdrawn"),
        ]
    );
    assert_eq!(shop.log().await.len(), before);
}

#[tokio::test]
async fn an_order_of_nothing_or_of_more_than_can_be_counted_is_refused() {
    let shop = Shop::selling().await;
    for (sku, amount) in [("FREE", 0), ("DEAR", 9_007_199_254_740_991)] {
        shop.post("/products", sku, &json!({"sku": sku, "title": sku, "prices": [gbp(amount)]})).await;
    }

    let nothing = shop.post("/checkouts", "1", &checkout(&[line("FREE", 1)])).await;
    let line_too_large = shop.post("/checkouts", "2", &checkout(&[line("DEAR", 1_000_000)])).await;
    let many: Vec<_> = (0..1_000).map(|_| line("DEAR", 10)).collect();
    let sum_too_large = shop.post("/checkouts", "3", &checkout(&many)).await;

    assert_eq!((nothing.status.as_u16(), nothing.problem()), (422, "total-not-positive"));
    assert_eq!((line_too_large.status.as_u16(), line_too_large.problem()), (422, "total-too-large"));
    assert_eq!((sum_too_large.status.as_u16(), sum_too_large.problem()), (422, "total-too-large"));
}

#[tokio::test]
async fn personal_data_is_kept_sealed_under_the_key_of_its_person() {
    let shop = Shop::selling().await;
    let ada = Uuid::from_u128(1);
    let mut body = checkout(&[line("MUG", 1)]);
    body["contact"] = json!({"name": "Ada Byron", "email": "ada@example.com", "address": "1 Row\nLondon"});

    shop.post("/checkouts", "guest", &body).await;
    let of_guest = placed(&shop).await;
    body["customer_id"] = json!(ada);
    shop.post("/checkouts", "customer", &body).await;
    let of_ada = placed(&shop).await;

    for (placed, person) in [(&of_guest, of_guest.order_id.0), (&of_ada, ada)] {
        let sealed = placed.contact.as_ref().unwrap();
        let key = shop.keys.get(person).await.unwrap().unwrap();
        assert_eq!(sealed.person, person);
        assert_eq!(sealed.open::<Value>(&PersonKey::from_bytes(key)).unwrap(), body["contact"]);
    }
    for event in shop.log().await {
        let payload = String::from_utf8(event.payload.to_vec()).unwrap();
        assert!(!payload.contains("Ada") && !payload.contains("example.com"), "{payload}");
    }
}

#[tokio::test]
async fn a_price_that_another_process_changed_is_never_missed() {
    let shop = Shop::selling().await;
    let other = Shop::on(shop.store.clone());
    shop.post("/checkouts", "1", &checkout(&[line("MUG", 1)])).await;

    other.post("/products/MUG/prices", "reprice", &json!({"price": gbp(700)})).await;

    let accepted = shop.post("/checkouts", "2", &checkout(&[line("MUG", 1)])).await;
    assert_eq!(accepted.body["total"], gbp(700));
}
