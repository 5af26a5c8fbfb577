//! What things are called: SKUs, streams, ids and calls to the provider.

use events::{
    Category, StreamName,
    ids::{CaptureId, InvalidSku, OrderId, PaymentId, RefundId, ReservationId, Sku},
    payment::Operation,
};
use uuid::Uuid;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

#[test]
fn a_sku_is_what_shops_call_things() {
    let longest = "X".repeat(Sku::CHARS_MAX);
    for text in ["85123A", "DOT", "gift_0001_40", "15056BL", "BANK CHARGES", "a/b-c.d", longest.as_str()] {
        let sku: Sku = text.parse().unwrap();
        assert_eq!(sku.as_str(), text);
        assert_eq!(serde_json::to_string(&sku).unwrap(), format!("\"{text}\""));
    }
}

#[test]
fn what_cannot_be_seen_or_is_too_long_is_no_sku() {
    let too_long = "X".repeat(Sku::CHARS_MAX + 1);
    for text in ["", " ", " A", "A ", "A\tB", "A\nB", "Ä", "A\u{0}", too_long.as_str()] {
        assert_eq!(text.parse::<Sku>(), Err(InvalidSku { text: text.to_owned() }));
        let json = serde_json::to_string(text).unwrap();
        assert!(serde_json::from_str::<Sku>(&json).is_err(), "{text:?}");
    }
}

#[test]
fn a_stream_is_named_by_its_category_and_an_id() {
    let stream = Category::Inventory.stream("A-B-C");
    assert_eq!(stream.as_str(), "inventory-A-B-C");
    assert_eq!((stream.category(), stream.id()), ("inventory", "A-B-C"));
    assert_eq!("inventory-A-B-C".parse(), Ok(stream));
}

#[test]
fn every_category_names_streams_that_can_be_read_back() {
    for category in Category::ALL {
        let stream = category.stream(OrderId(id(1)));
        assert_eq!(stream.category(), category.as_str());
        assert_eq!(stream.id(), id(1).to_string());
        assert_eq!(stream.to_string().parse(), Ok(stream));
    }
}

#[test]
fn what_is_not_category_and_id_is_no_stream_name() {
    let too_long = format!("order-{}", "x".repeat(StreamName::BYTES_MAX));
    for text in ["", "order", "-1", "order-", too_long.as_str()] {
        assert!(text.parse::<StreamName>().is_err(), "{text}");
    }
}

#[test]
fn the_longest_sku_makes_a_stream_name() {
    let sku: Sku = "X".repeat(Sku::CHARS_MAX).parse().unwrap();
    assert!(Category::Inventory.stream(&sku).as_str().parse::<StreamName>().is_ok());
}

#[test]
fn an_order_its_payment_and_its_holds_share_one_id() {
    let order = OrderId(id(7));
    assert_eq!(PaymentId::from(order).0, order.0);
    assert_eq!(ReservationId::from(order).0, order.0);
    assert_eq!(OrderId::from(PaymentId::from(order)), order);
}

#[test]
fn a_derived_id_is_the_same_every_time_and_another_for_another_name() {
    let order = OrderId::derived(id(1), "key-1");
    assert_eq!(order, OrderId::derived(id(1), "key-1"));
    assert_ne!(order, OrderId::derived(id(1), "key-2"));
    assert_ne!(order, OrderId::derived(id(2), "key-1"));
    assert_eq!(order.to_string().parse(), Ok(order));
}

#[test]
fn every_call_of_a_payment_has_a_key_of_its_own() {
    let payment = PaymentId(id(1));
    let capture = |n| Operation::Capture { capture_id: CaptureId(id(n)) };
    let refund = |n| Operation::Refund { refund_id: RefundId(id(n)) };
    let calls = [Operation::Authorize, Operation::Void, capture(1), capture(2), refund(1), refund(2)];
    let keys: std::collections::BTreeSet<_> =
        calls.iter().map(|call| call.idempotency_key(payment)).collect();
    assert_eq!(keys.len(), calls.len());
    assert!(keys.contains("00000000-0000-0000-0000-000000000001:authorize"));
}
