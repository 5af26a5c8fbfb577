//! What each query answers.

use std::collections::BTreeSet;

use events::{
    Category,
    checkout::{AttentionRequired, CheckoutEvent},
};
use reqwest::StatusCode;
use serde_json::json;

use crate::{history::*, served::Served, world::minute};

#[tokio::test]
async fn an_order_is_shown_with_its_lines_and_what_became_of_it() {
    let served = Served::start().await;
    let order = served.world.paid_order(1, minute(0)).await;
    let body = served.fresh_json(&format!("/orders/{order}")).await;
    assert_eq!(body["status"], "confirmed");
    assert_eq!((&body["payment_status"], &body["display_status"]), (&json!("captured"), &json!("paid")));
    assert_eq!(body["total"], json!({"amount": 1500, "currency": "GBP"}));
    assert_eq!(body["captured"], json!({"amount": 1500, "currency": "GBP"}));
    assert_eq!(
        body["lines"],
        json!([
            {"sku": "mug", "quantity": 2, "unit_price": {"amount": 250, "currency": "GBP"}, "amount": {"amount": 500, "currency": "GBP"}},
            {"sku": "tray", "quantity": 1, "unit_price": {"amount": 1000, "currency": "GBP"}, "amount": {"amount": 1000, "currency": "GBP"}},
        ])
    );
    served.stop().await;
}

#[tokio::test]
async fn a_tag_changes_with_whatever_the_answer_shows() {
    let served = Served::start().await;
    let order = served.world.paid_order(1, minute(0)).await;
    let path = format!("/orders/{order}");
    let first = served.fresh(&path).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let position: u64 = first.headers()["counterfoil-position"].to_str().unwrap().parse().unwrap();
    assert_eq!((tag.as_str(), position), ("\"1-2\"", 5));
    let again = served.request(&path).header("If-None-Match", &tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()["etag"].to_str().unwrap(), tag);
    assert!(again.bytes().await.unwrap().is_empty());

    served.world.payment(order, &refunded(order, 100), minute(1)).await;
    served.fresh(&path).await;
    let changed = served.request(&path).header("If-None-Match", &tag).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    served.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_and_sorted() {
    let served = Served::start().await;
    for number in 1..=6_u128 {
        let order = order_id(number);
        let amount = i64::try_from(number % 3).unwrap() * 100 + 50;
        let event = placed(order, Some(number % 2), vec![line("mug", 1, amount)]);
        served.world.order(order, &event, minute(i64::try_from(number).unwrap())).await;
    }
    served.world.order(order_id(2), &cancelled(order_id(2)), minute(10)).await;
    let ids = async |path: &str| -> Vec<u128> {
        let body = served.fresh_json(path).await;
        let items = body["items"].as_array().unwrap().clone();
        let id = |item: &serde_json::Value| item["order_id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
        items.iter().map(|item| id(item).as_u128()).collect()
    };
    assert_eq!(ids("/orders").await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(ids("/orders?sort=placed_at&limit=2").await, [1, 2]);
    assert_eq!(ids("/orders?sort=total").await, [3, 6, 1, 4, 2, 5]);
    assert_eq!(ids("/orders?sort=-total").await, [5, 2, 4, 1, 6, 3]);
    assert_eq!(ids("/orders?status=cancelled").await, [2]);
    assert_eq!(ids("/orders?status=placed&customer_id=00000000-0000-0000-0000-000000000000").await, [6, 4]);
    assert_eq!(ids("/customers/00000000-0000-0000-0000-000000000001/orders").await, [5, 3, 1]);
    assert_eq!(ids("/customers/00000000-0000-0000-0000-000000000009/orders").await, [0; 0]);
    let window = "/orders?placed_from=2026-03-01T00:02:00Z&placed_to=2026-03-01T00:04:00Z";
    assert_eq!(ids(window).await, [3, 2]);
    assert_eq!(ids("/orders?placed_from=2026-03-02").await, [0; 0]);
    served.stop().await;
}

#[tokio::test]
async fn cursors_go_through_all_pages_without_gap_or_double_while_orders_come_in() {
    let served = Served::start().await;
    for number in 1..=40_u128 {
        // Many orders share a moment and a total, so that the id must tell them apart.
        let order = order_id(number);
        let event = placed(order, None, vec![line("mug", 1, 250)]);
        served.world.order(order, &event, minute(i64::try_from(number / 8).unwrap())).await;
    }
    for sort in ["placed_at", "-placed_at", "total", "-total"] {
        let mut seen = Vec::new();
        let mut path = format!("/orders?limit=7&sort={sort}");
        for page in 0..100_u128 {
            let body = served.fresh_json(&path).await;
            for item in body["items"].as_array().unwrap() {
                seen.push(item["order_id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap().as_u128());
            }
            let Some(cursor) = body["next_cursor"].as_str() else { break };
            path = format!("/orders?limit=7&sort={sort}&cursor={cursor}");
            let late = order_id(1000 + page * 10 + u128::try_from(seen.len()).unwrap() * 10_000);
            let event = placed(late, None, vec![line("mug", 1, 250)]);
            served.world.order(late, &event, minute(i64::try_from(page % 5).unwrap())).await;
        }
        let distinct: BTreeSet<u128> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "{sort}: an order was shown twice");
        let first: Vec<u128> = distinct.into_iter().filter(|number| *number <= 40).collect();
        assert_eq!(first, (1..=40).collect::<Vec<u128>>(), "{sort}: an order was skipped");
    }
    served.stop().await;
}

#[tokio::test]
async fn products_stock_and_payments_are_listed_and_shown() {
    let served = Served::start().await;
    let world = &served.world;
    for name in ["mug", "tray", "jug"] {
        world.catalog(name, &listed(name, "A thing", 250), minute(0)).await;
        world.stock(name, &received(name, 10), minute(0)).await;
    }
    let order = world.paid_order(1, minute(1)).await;
    world.stock("mug", &reserved("mug", order, 2), minute(1)).await;

    let products = served.fresh_json("/products?limit=2").await;
    assert_eq!((&products["items"][0]["sku"], &products["items"][1]["sku"]), (&json!("jug"), &json!("mug")));
    let cursor = products["next_cursor"].as_str().unwrap();
    let rest = served.fresh_json(&format!("/products?limit=2&cursor={cursor}")).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["items"][0]["sku"]), (1, &json!("tray")));
    assert!(rest.get("next_cursor").is_none());
    let product = served.fresh_json("/products/mug").await;
    assert_eq!(product["prices"], json!([{"amount": 250, "currency": "GBP"}]));

    let stock = served.fresh_json("/stock/mug").await;
    assert_eq!(
        (&stock["received"], &stock["reserved"], &stock["available"]),
        (&json!(10), &json!(2), &json!(8))
    );
    assert_eq!(served.fresh_json("/stock").await["items"].as_array().unwrap().len(), 3);

    let payment = served.fresh_json(&format!("/payments/{order}")).await;
    assert_eq!(payment["captured"], json!({"amount": 1500, "currency": "GBP"}));
    let listed = served.fresh_json("/payments?status=captured").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(served.fresh_json("/payments?status=voided").await["items"], json!([]));
    served.stop().await;
}

#[tokio::test]
async fn sales_are_summed_by_day_and_by_month() {
    let served = Served::start().await;
    for (number, days) in [(1, 0), (2, 0), (3, 1), (4, 31)] {
        served.world.paid_order(number, minute(days * 24 * 60)).await;
    }
    let by_day = served.fresh_json("/sales").await;
    let periods: Vec<&str> =
        by_day["items"].as_array().unwrap().iter().map(|item| item["period"].as_str().unwrap()).collect();
    assert_eq!(periods, ["2026-03-01", "2026-03-02", "2026-04-01"]);
    let by_month = served.fresh_json("/sales?by=month&from=2026-03-01&to=2026-03-31").await;
    assert_eq!(
        by_month["items"][0]["sales"],
        json!({"count": 3, "units": 9, "amount": {"amount": 4500, "currency": "GBP"}})
    );
    assert_eq!(
        (by_month["items"].as_array().unwrap().len(), &by_month["items"][0]["period"]),
        (1, &json!("2026-03"))
    );
    served.stop().await;
}

#[tokio::test]
async fn attention_lists_what_is_open_and_which_streams_are_parked() {
    let served = Served::start().await;
    let order = order_id(1);
    let stuck =
        CheckoutEvent::AttentionRequired(AttentionRequired { order_id: order, step: "void".to_owned() });
    served.world.append(&Category::Checkout.stream(order), &stuck, minute(0)).await;
    let unreadable = Category::Payment.stream(order_id(2));
    served.world.append_raw(&unreadable, "PaymentTeleported", 1, "{}", minute(1)).await;
    let body = served.fresh_json("/attention").await;
    assert_eq!(
        (&body["items"][0]["kind"], &body["items"][0]["code"]),
        (&json!("checkout_stuck"), &json!("void"))
    );
    let parked = &body["parked_streams"].as_array().unwrap();
    assert!(
        parked.iter().all(|parked| parked["stream"] == unreadable.as_str()) && !parked.is_empty(),
        "{body}"
    );
    assert_eq!(served.fresh_json("/attention?state=resolved").await["items"], json!([]));
    served.stop().await;
}
