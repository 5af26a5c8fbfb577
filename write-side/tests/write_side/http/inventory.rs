//! Receiving and adjusting stock.

use serde_json::json;

use super::Shop;

#[tokio::test]
async fn units_are_received_and_adjusted() {
    let shop = Shop::selling().await;

    let received = shop.post("/stock/MUG/receipts", "1", &json!({"quantity": 10, "reference": "note"})).await;
    let adjusted = shop.post("/stock/MUG/adjustments", "2", &json!({"delta": -4, "reason": "broken"})).await;
    let too_far = shop.post("/stock/MUG/adjustments", "3", &json!({"delta": -7, "reason": "broken"})).await;

    assert_eq!((received.status.as_u16(), received.header("etag")), (200, "\"0\""));
    assert_eq!((adjusted.status.as_u16(), adjusted.header("etag")), (200, "\"1\""));
    assert_eq!((too_far.status.as_u16(), too_far.problem()), (409, "adjusts-below-reserved"));
    assert_eq!((&too_far.body["on_hand"], &too_far.body["delta"]), (&json!(6), &json!(-7)));
}

#[tokio::test]
async fn stock_of_what_was_never_a_product_is_refused() {
    let shop = Shop::selling().await;

    for path in ["/stock/FORK/receipts", "/stock/%20/receipts", "/stock/FORK/adjustments"] {
        let body = if path.ends_with("receipts") {
            json!({"quantity": 1, "reference": "note"})
        } else {
            json!({"delta": 1, "reason": "found"})
        };
        let refused = shop.post(path, path, &body).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (404, "not-found"), "{path}");
    }
    assert_eq!(shop.log().await.len(), 2);
}

#[tokio::test]
async fn quantities_are_counted_up_to_a_limit() {
    let shop = Shop::selling().await;
    for (n, quantity) in [0, -1, 1_000_000_001, i64::MIN, i64::MAX].into_iter().enumerate() {
        let body = json!({"quantity": quantity, "reference": "note"});
        let refused = shop.post("/stock/MUG/receipts", &n.to_string(), &body).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (400, vec!["/quantity"]), "{quantity}");
    }
    let nothing = shop.post("/stock/MUG/adjustments", "none", &json!({"delta": 0, "reason": "none"})).await;
    assert_eq!(nothing.faults(), [("/delta", "must not be zero")]);
}
