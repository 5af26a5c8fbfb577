//! No body makes the server fail: whatever is sent, the answer is a success or says what is wrong.

use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use super::Shop;

const PATHS: [&str; 10] = [
    "/products",
    "/products/MUG/prices",
    "/products/MUG/withdrawal",
    "/stock/MUG/receipts",
    "/stock/MUG/adjustments",
    "/checkouts",
    "/orders/00000000-0000-0000-0000-000000000001/cancellation",
    "/orders/00000000-0000-0000-0000-000000000001/dispatch",
    "/payments/00000000-0000-0000-0000-000000000001/captures",
    "/payments/00000000-0000-0000-0000-000000000001/refunds",
];

/// Names that the routes know, and some that they do not.
const NAMES: [&str; 20] = [
    "sku",
    "title",
    "prices",
    "price",
    "amount",
    "thousandths",
    "currency",
    "reason",
    "quantity",
    "reference",
    "delta",
    "customer_id",
    "contact",
    "name",
    "email",
    "address",
    "lines",
    "payment_method",
    "expected_total",
    "surprise/~",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![
            Just(0),
            Just(1),
            Just(-1),
            Just(1_000_000),
            Just(i64::MAX),
            Just(i64::MIN),
            any::<i64>()
        ]
        .prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::Number)),
        prop::sample::select(vec![
            "MUG",
            "SPOON",
            "GBP",
            "EUR",
            "JPY",
            "XXX",
            "customer_request",
            "tok_approve",
            "ada@example.com",
            "00000000-0000-0000-0000-000000000001",
            "",
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&NAMES[..]), inner), 0..8).prop_map(|members| {
                Value::Object(
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
                )
            }),
        ]
    })
}

/// A body that a route takes, with one place changed to something else.
fn nearly_right() -> impl Strategy<Value = (usize, Value)> {
    let right = [
        json!({"sku": "FORK", "title": "A fork", "prices": [{"amount": 1, "thousandths": 5, "currency": "GBP"}]}),
        json!({"price": {"amount": 700, "currency": "GBP"}}),
        json!({"reason": "bent"}),
        json!({"quantity": 5, "reference": "note"}),
        json!({"delta": 2, "reason": "found"}),
        json!({"customer_id": "00000000-0000-0000-0000-000000000001",
            "contact": {"name": "A", "email": "a@example.com", "address": "B"}, "currency": "GBP",
            "lines": [{"sku": "MUG", "quantity": 2}, {"sku": "SPOON", "quantity": 1}],
            "payment_method": "tok_approve", "expected_total": {"amount": 1000, "currency": "GBP"}}),
        json!({"reason": "fraud"}),
        json!({}),
        json!({"amount": {"amount": 5, "currency": "GBP"}}),
        json!({"amount": {"amount": 5, "currency": "GBP"}, "reason": "returned"}),
    ];
    (0..PATHS.len(), any::<prop::sample::Index>(), tree()).prop_map(move |(route, place, other)| {
        let mut body = right[route].clone();
        let mut places = Vec::new();
        pointers(&body, String::new(), &mut places);
        if let Some(changed) = body.pointer_mut(&places[place.index(places.len())]) {
            *changed = other;
        }
        (route, body)
    })
}

fn pointers(value: &Value, here: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, format!("{here}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{here}/{index}"), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    places.push(here);
}

fn is_answered(route: usize, body: Vec<u8>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let headers = [("content-type", "application/json"), ("idempotency-key", "key")];
    let answer = runtime.block_on(async {
        let shop = Shop::selling().await;
        shop.send("POST", PATHS[route], &headers, body.into()).await
    });
    prop_assert!(answer.status.as_u16() < 500, "{answer:?}");
    if !answer.status.is_success() && answer.problem() == "invalid-request" {
        prop_assert!(!answer.faults().is_empty(), "{answer:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_makes_a_route_fail(route in 0..PATHS.len(), body in tree()) {
        is_answered(route, body.to_string().into_bytes())?;
    }

    #[test]
    fn nothing_that_is_nearly_right_makes_a_route_fail((route, body) in nearly_right()) {
        is_answered(route, body.to_string().into_bytes())?;
    }

    #[test]
    fn no_bytes_make_a_route_fail(route in 0..PATHS.len(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        is_answered(route, body)?;
    }
}
