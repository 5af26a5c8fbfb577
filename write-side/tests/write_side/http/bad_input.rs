//! What must not get in. Each refusal says everything that is wrong and where, does not repeat what was
//! sent, and leaves nothing behind.

use serde_json::{Map, Value, json};

use super::{Shop, checkout, gbp, line};

const JSON: (&str, &str) = ("content-type", "application/json");
const KEY: (&str, &str) = ("idempotency-key", "key");

#[tokio::test]
async fn what_is_not_json_is_refused_with_the_place_where_reading_stopped() {
    let shop = Shop::selling().await;
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 8] = [
        b"",
        b"{",
        b"{\"currency\": \"GBP\",\n \"lines\": }",
        b"nonsense",
        b"{} {}",
        b"{\"currency\": \"\xff\xfe\"}",
        b"{\"quantity\": 1e999}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let refused = shop.send("POST", "/checkouts", &[JSON, KEY], body.to_vec().into()).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (400, "malformed-json"));
        assert!(refused.body["detail"].as_str().unwrap().contains("line "), "{refused:?}");
    }
}

#[tokio::test]
async fn another_media_type_an_endless_body_an_unknown_path_and_another_method_are_refused() {
    let shop = Shop::selling().await;
    let body = checkout(&[line("MUG", 1)]).to_string();
    let endless = format!("{{\"currency\": \"{}\"}}", "x".repeat(1_100_000));

    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json"] {
        let refused =
            shop.send("POST", "/checkouts", &[("content-type", kind), KEY], body.clone().into()).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (415, "unsupported-media-type"), "{kind}");
    }
    let untyped = shop.send("POST", "/checkouts", &[KEY], body.clone().into()).await;
    assert_eq!((untyped.status.as_u16(), untyped.problem()), (415, "unsupported-media-type"));
    let too_large = shop.send("POST", "/checkouts", &[JSON, KEY], endless.into()).await;
    assert_eq!((too_large.status.as_u16(), too_large.problem()), (413, "body-too-large"));
    let nowhere = shop.send("POST", "/checkout", &[JSON, KEY], body.clone().into()).await;
    assert_eq!((nowhere.status.as_u16(), nowhere.problem()), (404, "not-found"));
    let other_method = shop.send("DELETE", "/checkouts", &[JSON, KEY], body.into()).await;
    assert_eq!((other_method.status.as_u16(), other_method.problem()), (405, "method-not-allowed"));
    assert_eq!(shop.log().await.len(), 2);
}

#[tokio::test]
async fn all_faults_of_a_body_are_named_at_once() {
    let shop = Shop::selling().await;
    let body = json!({
        "customer_id": "me",
        "contact": {"name": "", "email": "nowhere", "telephone": "123"},
        "currency": "gbp",
        "lines": [
            line("MUG", 0), line("MUG", -1), line("MUG", 1_000_001), line("MUG", i64::MAX),
            {"sku": " MUG", "quantity": "2"}, {"sku": "MUG", "quantity": 1.5, "price": 1}, {"quantity": 1},
            line("NONE", 1), 7,
        ],
        "payment_method": "4111111111111111",
        "expected_total": {"amount": 0, "currency": "XXX"},
        "discount": 100,
    });

    let refused = shop.post("/checkouts", "key", &body).await;

    assert_eq!((refused.status.as_u16(), refused.problem()), (400, "invalid-request"));
    assert_eq!(
        refused.faults(),
        [
            ("/contact/address", "is required"),
            ("/contact/email", "must be an e-mail address"),
            ("/contact/name", "must be one line of text, without control characters"),
            ("/contact/telephone", "is not a field of this request"),
            ("/currency", "must be a currency code of ISO 4217, in capitals"),
            ("/customer_id", "must be a UUID"),
            ("/discount", "is not a field of this request"),
            ("/expected_total/amount", "must be at least 1"),
            ("/expected_total/currency", "must be a currency code of ISO 4217, in capitals"),
            ("/expected_total/currency", "must be the currency of the checkout"),
            ("/lines/0/quantity", "must be at least 1"),
            ("/lines/1/quantity", "must be at least 1"),
            ("/lines/2/quantity", "must be at most 1000000"),
            ("/lines/3/quantity", "must be at most 1000000"),
            ("/lines/4/quantity", "must be a whole number"),
            (
                "/lines/4/sku",
                "must be a SKU: printable ASCII characters, neither beginning nor ending with a space"
            ),
            ("/lines/5/price", "is not a field of this request"),
            ("/lines/5/quantity", "must be a whole number"),
            ("/lines/6/sku", "is required"),
            ("/lines/7/sku", "there is no product with this SKU"),
            ("/lines/8", "must be an object"),
            ("/payment_method", "must match ^[A-Za-z][A-Za-z0-9_-]*$"),
        ]
    );
    assert_eq!(shop.log().await.len(), 2);
}

#[tokio::test]
async fn ten_thousand_lines_are_too_many_and_a_thousand_are_not() {
    let shop = Shop::selling().await;
    let lines = |count: usize| (0..count).map(|_| line("MUG", 1)).collect::<Vec<Value>>();

    let too_many = shop.post("/checkouts", "1", &checkout(&lines(10_000))).await;
    let none = shop.post("/checkouts", "2", &checkout(&[])).await;
    let most = shop.post("/checkouts", "3", &checkout(&lines(1_000))).await;

    assert_eq!(too_many.faults(), [("/lines", "must have at most 1000 items")]);
    assert_eq!(none.faults(), [("/lines", "must have at least one item")]);
    assert_eq!((most.status.as_u16(), &most.body["total"]), (202, &gbp(500_000)));
}

#[tokio::test]
async fn numbers_at_the_limits_of_64_bits_and_beyond_are_refused() {
    let shop = Shop::selling().await;
    let numbers = [
        "0",
        "-1",
        "-9223372036854775808",
        "-9223372036854775809",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        "0.5",
        "null",
        "true",
        "\"1\"",
        "[1]",
    ];
    for number in numbers {
        let body = format!(
            "{{\"currency\":\"GBP\",\"payment_method\":\"tok\",\"lines\":[{{\"sku\":\"MUG\",\"quantity\":{number}}}]}}"
        );
        let refused = shop.send("POST", "/checkouts", &[JSON, KEY], body.into()).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (400, "invalid-request"), "{number}");
        assert_eq!(refused.pointers(), ["/lines/0/quantity"], "{number}");
    }
}

#[tokio::test]
async fn text_that_could_not_be_kept_or_shown_is_refused() {
    let shop = Shop::selling().await;
    for text in ["", " ", "a\0b", "a\nb", "a\u{7f}", "\u{1b}[31m", &"x".repeat(501)] {
        let body = json!({"reason": text});
        let refused = shop.post("/products/MUG/withdrawal", "key", &body).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (400, vec!["/reason"]), "{text:?}");
    }
    let repeated = json!({"sku": "X", "title": "X", "prices": [gbp(1), gbp(2), {"amount": 1, "currency": "EUR"}, gbp(3)]});
    let refused = shop.post("/products", "key", &repeated).await;
    assert_eq!(refused.pointers(), ["/prices/1/currency", "/prices/3/currency"]);
    assert_eq!(shop.log().await.len(), 2);
}

#[tokio::test]
async fn no_answer_repeats_personal_data_or_a_token() {
    let shop = Shop::selling().await;
    let mut body = checkout(&[line("NONE", 0)]);
    body["contact"] = json!({
        "name": "Ada\u{0}Byron", "email": "Ada Byron", "address": "Byron".repeat(1_000), "phone": 1
    });
    body["payment_method"] = json!("4929 Byron");
    body["customer_id"] = json!("Byron");

    let refused = shop.post("/checkouts", "key", &body).await;

    assert_eq!(refused.status, 400);
    let text = refused.body.to_string();
    assert!(!text.contains("Byron") && !text.contains("4929"), "{text}");
}

#[tokio::test]
async fn an_answer_lists_no_more_faults_than_anybody_reads() {
    let shop = Shop::selling().await;
    let lines: Vec<_> = (0..5_000).map(|_| json!({"sku": "", "quantity": 0})).collect();
    let unknown: Map<_, _> = (0..5_000).map(|n| (format!("field-{n}"), json!(n))).collect();

    for body in [checkout(&lines), Value::Object(unknown)] {
        let refused = shop.post("/checkouts", "key", &body).await;
        assert_eq!((refused.status.as_u16(), refused.faults().len()), (400, 1_000));
    }
}
