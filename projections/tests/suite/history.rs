//! Events made by hand: short names for what happens in a shop.

use chrono::{DateTime, Utc};
use events::{
    Category, Currency, Money, UnitPrice,
    catalog::{CatalogEvent, Listed},
    ids::{CaptureId, CustomerId, OrderId, PaymentId, RefundId, ReservationId, Sku},
    inventory::{self, InventoryEvent},
    order::{self, CancellationReason, Line, OrderEvent, Origin, Placed, RejectionReason},
    payment::{self, PaymentEvent},
};
use uuid::Uuid;

use crate::world::{World, minute};

pub fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

pub fn sku(name: &str) -> Sku {
    name.parse().unwrap()
}

pub fn order_id(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

pub fn line(name: &str, quantity: i64, price: i64) -> Line {
    let unit_price = UnitPrice::from_minor(price, Currency::GBP).unwrap();
    Line { sku: sku(name), quantity, unit_price, amount: unit_price.times(quantity).unwrap() }
}

pub fn placed(order: OrderId, customer: Option<u128>, lines: Vec<Line>) -> OrderEvent {
    let total = Money::sum(Currency::GBP, lines.iter().map(|line| line.amount)).unwrap();
    OrderEvent::Placed(Placed {
        order_id: order,
        customer_id: customer.map(|customer| CustomerId(Uuid::from_u128(customer))),
        contact: None,
        lines,
        total,
        payment_method: "tok_approve".to_owned(),
        origin: Origin::Live,
    })
}

pub fn listed(name: &str, title: &str, price: i64) -> CatalogEvent {
    let prices = vec![UnitPrice::from_minor(price, Currency::GBP).unwrap()];
    CatalogEvent::Listed(Listed { sku: sku(name), title: title.to_owned(), prices })
}

pub fn confirmed(order_id: OrderId, total: i64) -> OrderEvent {
    OrderEvent::Confirmed(order::Confirmed { order_id, total: gbp(total) })
}

pub fn cancelled(order_id: OrderId) -> OrderEvent {
    OrderEvent::Cancelled(order::Cancelled { order_id, reason: CancellationReason::CustomerRequest })
}

pub fn declined_order(order_id: OrderId) -> OrderEvent {
    let reason = RejectionReason::PaymentDeclined { code: "no_funds".to_owned() };
    OrderEvent::Rejected(order::Rejected { order_id, reason })
}

pub fn requested(order: OrderId, amount: i64) -> PaymentEvent {
    let (payment_id, method) = (PaymentId::from(order), "tok_approve".to_owned());
    PaymentEvent::Requested(payment::Requested { payment_id, order_id: order, amount: gbp(amount), method })
}

pub fn authorized(order: OrderId, amount: i64) -> PaymentEvent {
    PaymentEvent::Authorized(payment::Authorized {
        payment_id: order.into(),
        amount: gbp(amount),
        provider_reference: format!("sandbox-{order}"),
    })
}

pub fn captured(order: OrderId, amount: i64) -> PaymentEvent {
    let capture_id = CaptureId::derived(order.0, "whole");
    PaymentEvent::Captured(payment::Captured { payment_id: order.into(), capture_id, amount: gbp(amount) })
}

pub fn refunded(order: OrderId, amount: i64) -> PaymentEvent {
    let refund_id = RefundId::derived(order.0, &amount.to_string());
    PaymentEvent::Refunded(payment::Refunded { payment_id: order.into(), refund_id, amount: gbp(amount) })
}

pub fn received(name: &str, quantity: i64) -> InventoryEvent {
    let reference = "delivery note".to_owned();
    InventoryEvent::Received(inventory::Received { sku: sku(name), quantity, reference })
}

pub fn reserved(name: &str, order: OrderId, quantity: i64) -> InventoryEvent {
    let (sku, reservation_id) = (sku(name), ReservationId::from(order));
    InventoryEvent::Reserved(inventory::Reserved { sku, reservation_id, quantity, expires_at: minute(60) })
}

pub fn released(name: &str, order: OrderId, quantity: i64) -> InventoryEvent {
    let (sku, reservation_id) = (sku(name), ReservationId::from(order));
    InventoryEvent::Released(inventory::Released { sku, reservation_id, quantity })
}

pub fn committed(name: &str, order: OrderId, quantity: i64) -> InventoryEvent {
    let (sku, reservation_id) = (sku(name), ReservationId::from(order));
    InventoryEvent::Committed(inventory::Committed { sku, reservation_id, quantity })
}

pub fn dispatched(name: &str, order: OrderId, quantity: i64) -> InventoryEvent {
    let (sku, reservation_id) = (sku(name), ReservationId::from(order));
    InventoryEvent::Dispatched(inventory::Dispatched { sku, reservation_id, quantity })
}

/// Writes events to the streams that they belong to.
impl World {
    pub async fn order(&self, order: OrderId, event: &OrderEvent, at: DateTime<Utc>) {
        self.append(&Category::Order.stream(order), event, at).await;
    }

    pub async fn payment(&self, order: OrderId, event: &PaymentEvent, at: DateTime<Utc>) {
        self.append(&Category::Payment.stream(order), event, at).await;
    }

    pub async fn stock(&self, name: &str, event: &InventoryEvent, at: DateTime<Utc>) {
        self.append(&Category::Inventory.stream(name), event, at).await;
    }

    pub async fn catalog(&self, name: &str, event: &CatalogEvent, at: DateTime<Utc>) {
        self.append(&Category::Catalog.stream(name), event, at).await;
    }

    /// An order that is paid in full: placed, confirmed, captured.
    pub async fn paid_order(&self, number: u128, at: DateTime<Utc>) -> OrderId {
        let order = order_id(number);
        self.order(
            order,
            &placed(order, Some(number % 7), vec![line("mug", 2, 250), line("tray", 1, 1000)]),
            at,
        )
        .await;
        self.payment(order, &requested(order, 1500), at).await;
        self.payment(order, &authorized(order, 1500), at).await;
        self.order(order, &confirmed(order, 1500), at).await;
        self.payment(order, &captured(order, 1500), at).await;
        order
    }
}
