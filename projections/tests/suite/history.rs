//! Events made by hand: short names for what happens in a shop.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use events::{
    Category, Currency, Money, UnitPrice,
    catalog::{CatalogEvent, Listed},
    checkout::{self, CheckoutEvent},
    ids::{CaptureId, CustomerId, OrderId, PaymentId, RefundId, ReservationId, Sku},
    inventory::{self, InventoryEvent},
    order::{self, CancellationReason, Line, OrderEvent, Origin, Placed, RejectionReason},
    payment::{self, Operation, PaymentEvent},
    webhook::{self, WebhookEvent},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
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

pub fn expired(name: &str, order: OrderId, quantity: i64) -> InventoryEvent {
    let (sku, reservation_id) = (sku(name), ReservationId::from(order));
    InventoryEvent::Expired(inventory::Expired { sku, reservation_id, quantity })
}

pub fn committed(name: &str, order: OrderId, quantity: i64) -> InventoryEvent {
    let (sku, reservation_id) = (sku(name), ReservationId::from(order));
    InventoryEvent::Committed(inventory::Committed { sku, reservation_id, quantity })
}

pub fn dispatched(name: &str, order: OrderId, quantity: i64) -> InventoryEvent {
    let (sku, reservation_id) = (sku(name), ReservationId::from(order));
    InventoryEvent::Dispatched(inventory::Dispatched { sku, reservation_id, quantity })
}

/// One event of an order's life.
enum Step {
    Order(OrderId, OrderEvent),
    Payment(OrderId, PaymentEvent),
    Stock(InventoryEvent),
    Checkout(OrderId, CheckoutEvent),
    Webhook(OrderId, WebhookEvent),
}

pub fn stuck_checkout(order_id: OrderId, step: &str) -> CheckoutEvent {
    CheckoutEvent::AttentionRequired(checkout::AttentionRequired { order_id, step: step.to_owned() })
}

/// A checkout that was stuck goes on to its end: each of these settles it.
pub fn checked_out(order_id: OrderId) -> [CheckoutEvent; 2] {
    [
        CheckoutEvent::Completed(checkout::Completed { order_id }),
        CheckoutEvent::DispatchCompleted(checkout::DispatchCompleted { order_id }),
    ]
}

/// A webhook that cannot be applied, raised so often, and applied after all.
fn webhooks_of(order: OrderId, times: usize) -> Vec<Step> {
    let notification_id = format!("note-{order}");
    let mut life = Vec::new();
    for time in 0..times {
        // The second time it says of another payment that it is about it.
        let payment_id = OrderId(Uuid::from_u128(order.0.as_u128() + time as u128)).into();
        let (notification_id, code) = (notification_id.clone(), format!("reason_{time}"));
        let raised = webhook::AttentionRequired { notification_id, payment_id, code };
        life.push(Step::Webhook(order, WebhookEvent::AttentionRequired(raised)));
    }
    for _ in 0..times {
        let (notification_id, payment_id) = (notification_id.clone(), order.into());
        let applied = webhook::Applied { notification_id, payment_id };
        life.push(Step::Webhook(order, WebhookEvent::Applied(applied)));
    }
    life
}

/// A capture that is stuck, fails, and turns out to have been made: settled twice.
fn stuck_capture(order: OrderId, total: i64) -> Vec<Step> {
    let (payment_id, capture_id) = (PaymentId::from(order), CaptureId::derived(order.0, "whole"));
    let operation = Operation::Capture { capture_id };
    let stuck = payment::AttentionRequired { payment_id, operation, attempts: 8 };
    let failed = payment::CaptureFailed { payment_id, capture_id, code: "expired".to_owned() };
    let found = payment::DiscrepancyFound {
        payment_id,
        operation,
        expected: Some(gbp(total)),
        reported: Some(gbp(total)),
        code: "captured_after_failure".to_owned(),
    };
    [
        PaymentEvent::AttentionRequired(stuck),
        PaymentEvent::CaptureFailed(failed),
        PaymentEvent::DiscrepancyFound(found),
    ]
    .map(|event| Step::Payment(order, event))
    .into()
}

/// What happens to one order, in its order.
fn life_of(order: OrderId, chance: &mut StdRng) -> VecDeque<Step> {
    let units = chance.random_range(1..4);
    let total = units * 250;
    let payment_id = order.into();
    let lines = vec![line("mug", units, 250)];
    let mut life = vec![
        Step::Order(order, placed(order, Some(chance.random_range(0..5)), lines)),
        Step::Stock(reserved("mug", order, units)),
        Step::Payment(order, requested(order, total)),
    ];
    if chance.random_bool(0.3) {
        let (operation, reason) = (Operation::Authorize, "timeout".to_owned());
        let unknown = payment::OutcomeUnknown { payment_id, operation, attempt: 1, reason };
        life.push(Step::Payment(order, PaymentEvent::OutcomeUnknown(unknown)));
        let stuck = payment::AttentionRequired { payment_id, operation, attempts: 8 };
        life.push(Step::Payment(order, PaymentEvent::AttentionRequired(stuck)));
    }
    match chance.random_range(0..5) {
        0 => {
            let declined = payment::Declined { payment_id, code: "no_funds".to_owned() };
            life.push(Step::Payment(order, PaymentEvent::Declined(declined)));
            life.push(Step::Stock(released("mug", order, units)));
            life.push(Step::Order(order, declined_order(order)));
        }
        1 => {
            life.push(Step::Order(order, cancelled(order)));
            life.push(Step::Payment(
                order,
                PaymentEvent::VoidRequested(payment::VoidRequested { payment_id }),
            ));
            life.push(Step::Payment(order, authorized(order, total)));
            life.push(Step::Checkout(order, stuck_checkout(order, "void")));
            life.push(Step::Payment(order, PaymentEvent::Voided(payment::Voided { payment_id })));
            life.push(Step::Stock(released("mug", order, units)));
            let done = checkout::Compensated { order_id: order };
            life.push(Step::Checkout(order, CheckoutEvent::Compensated(done)));
        }
        path => {
            life.push(Step::Payment(order, authorized(order, total)));
            life.push(Step::Order(order, confirmed(order, total)));
            if chance.random_bool(0.3) {
                life.extend(stuck_capture(order, total));
            }
            life.push(Step::Payment(order, captured(order, total)));
            life.push(Step::Checkout(order, stuck_checkout(order, "commit")));
            life.push(Step::Stock(committed("mug", order, units)));
            let [completed, dispatch_completed] = checked_out(order);
            life.push(Step::Checkout(order, completed));
            if path == 2 {
                life.push(Step::Order(order, cancelled(order)));
                life.push(Step::Payment(order, refunded(order, total)));
                life.push(Step::Stock(released("mug", order, units)));
            } else {
                let sent = order::DispatchRecorded { order_id: order };
                life.push(Step::Order(order, OrderEvent::DispatchRecorded(sent)));
                life.push(Step::Stock(dispatched("mug", order, units)));
                life.push(Step::Order(order, OrderEvent::Completed(order::Completed { order_id: order })));
                life.push(Step::Checkout(order, dispatch_completed));
                life.push(Step::Payment(order, refunded(order, 100)));
            }
        }
    }
    life.extend(webhooks_of(order, chance.random_range(0..3)));
    life.into()
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

    /// What happens in a shop, at random but the same for the same seed: orders that are paid, called
    /// off before and after, declined, refunded in parts, their events mixed up as in life.
    pub async fn busy_day(&self, seed: u64, orders: std::ops::Range<u128>) {
        let mut chance = StdRng::seed_from_u64(seed);
        for name in ["mug", "tray"] {
            self.catalog(name, &listed(name, "A thing", 250), minute(0)).await;
            self.stock(name, &received(name, 10_000), minute(0)).await;
        }
        let mut waiting: Vec<VecDeque<Step>> =
            orders.map(|number| life_of(order_id(number), &mut chance)).collect();
        let mut time = 0;
        while !waiting.is_empty() {
            let index = chance.random_range(0..waiting.len().min(12));
            // An order goes a few steps at once, so that one batch holds several events of one row.
            for _ in 0..chance.random_range(1..5) {
                let Some(step) = waiting[index].pop_front() else { break };
                time += chance.random_range(0..3);
                self.take(step, minute(time)).await;
            }
            if waiting[index].is_empty() {
                waiting.swap_remove(index);
            }
        }
    }

    async fn take(&self, step: Step, at: DateTime<Utc>) {
        match step {
            Step::Order(order, event) => self.order(order, &event, at).await,
            Step::Payment(order, event) => self.payment(order, &event, at).await,
            Step::Stock(event) => self.stock("mug", &event, at).await,
            Step::Checkout(order, event) => {
                self.append(&Category::Checkout.stream(order), &event, at).await;
            }
            Step::Webhook(order, event) => {
                self.append(&Category::Webhook.stream(order), &event, at).await;
            }
        }
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
