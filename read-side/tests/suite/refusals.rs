//! Bad input: refused as a problem that names every fault, and never as a fault of ours.

use reqwest::StatusCode;
use serde_json::Value;

use crate::{history::*, served::Served, world::minute};

#[tokio::test]
async fn all_faults_of_a_query_are_told_at_once() {
    let served = Served::start().await;
    let path =
        "/orders?status=lost&limit=0&sort=name&colour=red&placed_from=yesterday&customer_id=7&cursor=zz";
    let answer = served.request(path).header("Counterfoil-At-Least", "soon").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    let mut places: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "/headers/counterfoil-at-least",
            "/query/colour",
            "/query/cursor",
            "/query/customer_id",
            "/query/limit",
            "/query/placed_from",
            "/query/sort",
            "/query/status",
        ]
    );
    served.stop().await;
}

#[tokio::test]
async fn nothing_that_a_client_sends_is_answered_as_a_fault_of_ours() {
    let served = Served::start().await;
    let order = served.world.paid_order(1, minute(0)).await;
    served.world.paid_order(2, minute(0)).await;
    let page = served.fresh_json("/orders?limit=1").await;
    let by_time = page["next_cursor"].as_str().unwrap();
    let far = hex::encode(
        r#"{"s":"-placed_at","k":["+99999-01-01T00:00:00Z","00000000-0000-0000-0000-000000000000"]}"#,
    );
    let zero = hex::encode(r#"{"s":"sku","k":"\u0000"}"#);
    for (path, status) in [
        ("/orders/not-a-uuid".to_owned(), 404),
        ("/orders/%ff".to_owned(), 404),
        (format!("/orders/{}", order_id(99)), 404),
        (format!("/orders/{order}?x=1"), 400),
        (format!("/orders?sort=total&cursor={by_time}"), 400),
        (format!("/orders?cursor={by_time}0"), 400),
        (format!("/orders?cursor={far}"), 400),
        (format!("/products?cursor={zero}"), 400),
        ("/orders?cursor=".to_owned(), 400),
        ("/orders?limit=99999999999999999999".to_owned(), 400),
        ("/orders?limit=1&limit=2".to_owned(), 400),
        ("/orders?placed_from=2026-03-02&placed_to=2026-03-01".to_owned(), 400),
        ("/orders?placed_from=%2B120000-01-01".to_owned(), 400),
        ("/orders?status=%00".to_owned(), 400),
        ("/products/%00".to_owned(), 404),
        ("/products/nothing".to_owned(), 404),
        ("/stock/%F0%9F%92%A9".to_owned(), 404),
        ("/stock/mug'; drop table x; --".to_owned(), 404),
        ("/payments?status=stolen".to_owned(), 400),
        ("/payments/7".to_owned(), 404),
        ("/customers/7/orders".to_owned(), 404),
        ("/sales?by=year".to_owned(), 400),
        ("/sales?from=2026-02-30".to_owned(), 400),
        ("/sales?from=2026-03-02&to=2026-03-01".to_owned(), 400),
        ("/attention?state=lost".to_owned(), 400),
        ("/events?after=-1".to_owned(), 400),
        ("/orders/7/events".to_owned(), 404),
        (format!("/orders/{}/events", order_id(99)), 404),
    ] {
        let answer = served.request(&path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn before_the_read_models_are_made_a_query_is_told_to_come_back() {
    let served = Served::start().await;
    let mut db = served.world.projector().await;
    sqlx::raw_sql("drop view read.sales_position").execute(&mut db).await.unwrap();
    let answer = served.request("/sales").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    served.stop().await;
}
