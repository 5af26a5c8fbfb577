//! What never leaves: name, e-mail and address of a person, and whatever a payment provider wrote. Looked for
//! in every byte that the NATS server keeps, not only where it would be expected.

use std::{fs, path::Path};

use events::{
    Currency, DomainEvent, Money, UnitPrice,
    ids::{OrderId, PaymentId},
    order::{Line, OrderEvent, Origin, Placed},
    sealed::{PersonKey, Sealed},
    webhook::{Received, WebhookEvent},
};
use serde_json::json;
use uuid::Uuid;

use crate::world::World;

const PRIVATE: [&str; 4] =
    ["Ada Lovelace", "ada@example.org", "12 St James's Square", "buried in a notification"];

fn kept_under(folder: &Path, found: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { kept_under(&path, found) } else { found.extend(fs::read(&path).unwrap()) }
    }
}

#[tokio::test]
async fn nothing_personal_is_in_anything_that_nats_keeps() {
    let world = World::new().await;
    let order_id = OrderId(Uuid::new_v4());
    let contact = json!({"name": PRIVATE[0], "email": PRIVATE[1], "address": [PRIVATE[2]]});
    let pounds = |amount| Money::new(amount, Currency::GBP);
    let line = Line {
        sku: "MUG".parse().unwrap(),
        quantity: 1,
        unit_price: UnitPrice::from_minor(1250, Currency::GBP).unwrap(),
        amount: pounds(1250),
    };
    let key = PersonKey::from_bytes([7; PersonKey::BYTES]);
    let placed = OrderEvent::Placed(Placed {
        order_id,
        customer_id: None,
        contact: Some(Sealed::seal(order_id.0, &key, &contact).unwrap()),
        lines: vec![line],
        total: pounds(1250),
        payment_method: "tok_approve".to_owned(),
        origin: Origin::Live,
    });
    let payload = String::from_utf8(placed.encode().unwrap()).unwrap();
    world.append(&format!("order-{order_id}"), placed.wire_name(), payload).await;
    let received = WebhookEvent::Received(Received {
        provider: "sandbox".to_owned(),
        notification_id: "evt_1".to_owned(),
        payment_id: PaymentId(order_id.0),
        notification: json!({"billing_details": {"name": PRIVATE[3]}}),
    });
    let payload = String::from_utf8(received.encode().unwrap()).unwrap();
    world.append("webhook-evt_1", received.wire_name(), payload).await;

    let _worker = world.start("one", world.nats.address());
    world.holds_everything_once().await;
    let messages = world.messages().await;
    assert_eq!(messages[0].payload, world.log().await[0].payload);
    assert!(messages[1].payload.is_empty() && messages[1].headers.get("Counterfoil-Withheld").is_some());

    let mut kept = Vec::new();
    kept_under(world.nats.folder(), &mut kept);
    let holds = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&order_id.to_string()), "what is kept was not found");
    for private in PRIVATE {
        assert!(!holds(private), "{private:?} is kept in the clear");
    }
}
