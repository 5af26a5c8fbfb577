//! `Idempotency-Key` and `If-Match`, the same on every route.

use serde_json::json;

use super::{Shop, checkout, gbp, line};

#[tokio::test]
async fn a_key_is_required_and_has_limits() {
    let shop = Shop::selling().await;
    let body = json!({"quantity": 1, "reference": "note"});
    let too_long = "x".repeat(201);
    let longest = "x".repeat(200);

    let missing = shop.post_with("/stock/MUG/receipts", &[], &body).await;
    assert_eq!((missing.status.as_u16(), missing.problem()), (400, "idempotency-key-missing"));
    for keys in [vec![""], vec!["   "], vec![too_long.as_str()], vec!["one", "two"], vec!["schlüssel"]] {
        let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
        let invalid = shop.post_with("/stock/MUG/receipts", &headers, &body).await;
        assert_eq!(
            (invalid.status.as_u16(), invalid.problem()),
            (400, "idempotency-key-invalid"),
            "{keys:?}"
        );
    }
    assert_eq!(shop.post("/stock/MUG/receipts", &longest, &body).await.status, 200);
    assert_eq!(shop.log().await.len(), 3);
}

#[tokio::test]
async fn the_same_key_with_another_request_is_told_from_a_repeat() {
    let shop = Shop::selling().await;
    let body = json!({"quantity": 1, "reference": "note"});
    let first = shop.post("/stock/MUG/receipts", "key", &body).await;

    // The same request, written otherwise.
    let headers = [("content-type", "application/json; charset=utf-8"), ("idempotency-key", "key")];
    let spaced = r#" { "reference" : "note", "quantity" : 1.0 } "#;
    let repeat = shop.send("POST", "/stock/MUG/receipts", &headers, spaced.into()).await;
    assert_eq!((repeat.status, &repeat.body), (first.status, &first.body));
    assert_eq!(repeat.header("idempotent-replayed"), "true");

    let others = [
        ("/stock/MUG/receipts", json!({"quantity": 2, "reference": "note"})),
        ("/stock/SPOON/receipts", body),
        ("/stock/MUG/adjustments", json!({"delta": 1, "reason": "note"})),
        ("/products/MUG/prices", json!({"price": gbp(1)})),
        ("/checkouts", checkout(&[line("MUG", 1)])),
    ];
    for (path, body) in others {
        let reused = shop.post(path, "key", &body).await;
        assert_eq!((reused.status.as_u16(), reused.problem()), (422, "idempotency-key-reused"), "{path}");
    }
    assert_eq!(shop.log().await.len(), 3);
}

#[tokio::test]
async fn a_key_whose_first_try_was_refused_can_be_tried_again() {
    let shop = Shop::selling().await;
    let adjust = json!({"delta": -1, "reason": "broken"});

    let refused = shop.post("/stock/MUG/adjustments", "key", &adjust).await;
    shop.post("/stock/MUG/receipts", "note", &json!({"quantity": 1, "reference": "note"})).await;
    let carried_out = shop.post("/stock/MUG/adjustments", "key", &adjust).await;

    assert_eq!(refused.status, 409);
    assert_eq!((carried_out.status.as_u16(), carried_out.header("idempotent-replayed")), (200, ""));
}

#[tokio::test]
async fn if_match_keeps_to_the_revision_that_the_client_has_seen() {
    let shop = Shop::selling().await;
    let price = |amount| json!({"price": gbp(amount)});
    let insisting = |key: &'static str, tag: &'static str| [("idempotency-key", key), ("if-match", tag)];

    let met = shop.post_with("/products/MUG/prices", &insisting("1", "\"0\""), &price(1)).await;
    let missed = shop.post_with("/products/MUG/prices", &insisting("2", "\"0\""), &price(2)).await;
    let repeated = shop.post_with("/products/MUG/prices", &insisting("1", "\"0\""), &price(1)).await;

    assert_eq!((met.status.as_u16(), met.header("etag")), (200, "\"1\""));
    assert_eq!((missed.status.as_u16(), missed.problem()), (412, "revision-differs"));
    assert_eq!((&missed.body["expected_revision"], &missed.body["current_revision"]), (&json!(0), &json!(1)));
    assert_eq!((repeated.status.as_u16(), repeated.header("idempotent-replayed")), (200, "true"));
    for tag in ["W/\"1\"", "\"abc\"", "1", "\"99999999999999999999\"", ""] {
        let never = shop.post_with("/products/MUG/prices", &insisting("3", tag), &price(3)).await;
        assert_eq!((never.status.as_u16(), never.problem()), (412, "revision-differs"), "{tag}");
    }
    for tag in ["*", "\"1\", \"2\""] {
        let unclear = shop.post_with("/products/MUG/prices", &insisting("3", tag), &price(3)).await;
        assert_eq!((unclear.status.as_u16(), unclear.problem()), (400, "if-match-invalid"), "{tag}");
    }
    // As an order is tagged when it is read: its own revision, and that of its payment.
    let met_again = shop.post_with("/products/MUG/prices", &insisting("3", "\"1-7\""), &price(3)).await;
    assert_eq!(met_again.status.as_u16(), 200);
}

#[tokio::test]
async fn a_trace_context_that_is_none_is_left_out() {
    let shop = Shop::selling().await;
    let traces = [
        "",
        "00-short-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ];
    for (n, trace) in traces.into_iter().enumerate() {
        let headers = [("idempotency-key", &*n.to_string()), ("traceparent", trace)];
        let body = json!({"quantity": 1, "reference": "note"});
        assert_eq!(shop.post_with("/stock/MUG/receipts", &headers, &body).await.status, 200, "{trace}");
        assert_eq!(shop.log().await.pop().unwrap().metadata.traceparent, None, "{trace}");
    }
}
