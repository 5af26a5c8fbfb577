//! Histories made by hand, command by command, as the real parts would write them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use event_store::{Position, RecordedEvent};
use events::{
    Actor, Category, Currency, DomainEvent, Metadata, Money, StreamName, UnitPrice,
    checkout::{self, CheckoutEvent},
    ids::{CaptureId, OrderId, PaymentId, RefundId, ReservationId, Sku},
    inventory::{self, InventoryEvent},
    order::{self, CancellationReason, OrderEvent, Origin, RejectionReason},
    payment::{self, Operation, PaymentEvent},
};
use uuid::Uuid;

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

pub(super) fn position(column: i64) -> Position {
    Position::from_column(column).unwrap()
}

/// The position behind one, in a dense log.
pub(super) fn next(before: Position) -> Position {
    position(before.to_column().unwrap() + 1)
}

pub(super) fn gbp(pence: i64) -> Money {
    Money::new(pence, Currency::GBP)
}

pub(super) fn sku() -> Sku {
    "MUG".parse().unwrap()
}

pub(super) fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

pub(super) fn payment_id(n: u128) -> PaymentId {
    order_id(n).into()
}

pub(super) fn reservation_id(n: u128) -> ReservationId {
    order_id(n).into()
}

pub(super) fn capture_id(n: u128) -> CaptureId {
    CaptureId(Uuid::from_u128(1000 + n))
}

pub(super) fn refund_id(n: u128) -> RefundId {
    RefundId(Uuid::from_u128(2000 + n))
}

/// A history as it grows. Every order is for two mugs at five pounds.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) events: Vec<RecordedEvent>,
    revisions: HashMap<StreamName, u64>,
}

impl History {
    pub(super) fn with_stock(quantity: i64) -> Self {
        let mut history = Self::default();
        let received = inventory::Received { sku: sku(), quantity, reference: "note".to_owned() };
        history.command(&Category::Inventory.stream(sku()), &[InventoryEvent::Received(received)]);
        history
    }

    pub(super) fn head(&self) -> Position {
        self.events.last().map_or(Position::START, |last| last.position)
    }

    /// Puts an event at the end of the log and of its stream, whatever else it says.
    pub(super) fn append(&mut self, mut recorded: RecordedEvent) {
        recorded.position = next(self.head());
        let next = self.revisions.entry(recorded.stream.clone()).or_default();
        recorded.revision = *next;
        *next += 1;
        self.events.push(recorded);
    }

    /// The events of one command, under ids that follow from it.
    pub(super) fn command<E: DomainEvent>(&mut self, stream: &StreamName, events: &[E]) {
        let command_id = Uuid::new_v5(&Uuid::nil(), format!("command {}", self.head()).as_bytes());
        for (index, event) in events.iter().enumerate() {
            let id = Uuid::new_v5(&command_id, index.to_string().as_bytes());
            self.write(stream.clone(), command_id, id, event);
        }
    }

    /// Events that a saga writes itself.
    pub(super) fn own<E: DomainEvent>(&mut self, stream: &StreamName, events: &[E]) {
        for event in events {
            let id = Uuid::new_v5(&Uuid::nil(), format!("own {}", self.head()).as_bytes());
            self.write(stream.clone(), Uuid::nil(), id, event);
        }
    }

    fn write<E: DomainEvent>(&mut self, stream: StreamName, command_id: Uuid, id: Uuid, event: &E) {
        self.append(RecordedEvent {
            position: Position::START,
            stream,
            revision: 0,
            id,
            name: event.wire_name().to_owned(),
            version: event.wire_version(),
            payload: event.encode().unwrap().into(),
            metadata: Metadata {
                occurred_at: at(0),
                correlation_id: command_id,
                causation_id: command_id,
                command_id,
                request_digest: None,
                actor: Actor::Client,
                traceparent: None,
            },
            recorded_at: at(0),
        });
    }

    fn order(&mut self, n: u128, event: OrderEvent) {
        self.command(&Category::Order.stream(order_id(n)), &[event]);
    }

    fn stock(&mut self, event: InventoryEvent) {
        self.command(&Category::Inventory.stream(sku()), &[event]);
    }

    fn payment(&mut self, n: u128, event: PaymentEvent) {
        self.command(&Category::Payment.stream(payment_id(n)), &[event]);
    }

    fn checkout(&mut self, n: u128, event: CheckoutEvent) {
        self.own(&Category::Checkout.stream(order_id(n)), &[event]);
    }

    pub(super) fn place(&mut self, n: u128) {
        self.place_with(n, |_| {});
    }

    pub(super) fn place_with(&mut self, n: u128, change: impl FnOnce(&mut order::Placed)) {
        let unit_price = UnitPrice::from_minor(500, Currency::GBP).unwrap();
        let mut placed = order::Placed {
            order_id: order_id(n),
            customer_id: None,
            contact: None,
            lines: vec![order::Line { sku: sku(), quantity: 2, unit_price, amount: gbp(1000) }],
            total: gbp(1000),
            payment_method: "tok_approve".to_owned(),
            origin: Origin::Live,
        };
        change(&mut placed);
        self.order(n, OrderEvent::Placed(placed));
    }

    /// The checkout is taken on; its deadline is a hundred seconds away.
    pub(super) fn start(&mut self, n: u128) {
        let started = checkout::Started {
            order_id: order_id(n),
            items: vec![checkout::Item { sku: sku(), quantity: 2 }],
            amount: gbp(1000),
            payment_method: "tok_approve".to_owned(),
            deadline: at(100),
            imported_at: None,
        };
        self.checkout(n, CheckoutEvent::Started(started));
    }

    pub(super) fn reserve(&mut self, n: u128) {
        self.reserve_units(n, 2);
    }

    fn reserve_units(&mut self, n: u128, quantity: i64) {
        self.stock(InventoryEvent::Reserved(inventory::Reserved {
            sku: sku(),
            reservation_id: reservation_id(n),
            quantity,
            expires_at: at(200),
        }));
    }

    pub(super) fn request_payment(&mut self, n: u128) {
        self.payment(
            n,
            PaymentEvent::Requested(payment::Requested {
                payment_id: payment_id(n),
                order_id: order_id(n),
                amount: gbp(1000),
                method: "tok_approve".to_owned(),
            }),
        );
    }

    pub(super) fn authorize(&mut self, n: u128) {
        self.payment(
            n,
            PaymentEvent::Authorized(payment::Authorized {
                payment_id: payment_id(n),
                amount: gbp(1000),
                provider_reference: "pay".to_owned(),
            }),
        );
    }

    pub(super) fn decline(&mut self, n: u128) {
        let declined = payment::Declined { payment_id: payment_id(n), code: "no_funds".to_owned() };
        self.payment(n, PaymentEvent::Declined(declined));
    }

    pub(super) fn confirm(&mut self, n: u128, total: Money) {
        self.order(n, OrderEvent::Confirmed(order::Confirmed { order_id: order_id(n), total }));
    }

    pub(super) fn find_discrepancy(&mut self, n: u128, operation: Operation) {
        self.payment(
            n,
            PaymentEvent::DiscrepancyFound(payment::DiscrepancyFound {
                payment_id: payment_id(n),
                operation,
                expected: None,
                reported: None,
                code: "answer_changed".to_owned(),
            }),
        );
    }

    /// A call to the provider goes past its retries.
    pub(super) fn tell_a_person(&mut self, n: u128, operation: Operation) {
        let payment_id = payment_id(n);
        let told = payment::AttentionRequired { payment_id, operation, attempts: 10 };
        self.payment(n, PaymentEvent::AttentionRequired(told));
    }

    /// The hold of an order ends without a dispatch.
    pub(super) fn release(&mut self, n: u128) {
        let reservation_id = reservation_id(n);
        self.stock(InventoryEvent::Released(inventory::Released { sku: sku(), reservation_id, quantity: 2 }));
    }

    /// The hold of an order runs out.
    pub(super) fn expire(&mut self, n: u128) {
        let reservation_id = reservation_id(n);
        self.stock(InventoryEvent::Expired(inventory::Expired { sku: sku(), reservation_id, quantity: 2 }));
    }

    /// From placed to waiting for dispatch.
    pub(super) fn sell(&mut self, n: u128) {
        self.place(n);
        self.start(n);
        self.reserve(n);
        self.request_payment(n);
        self.authorize(n);
        self.confirm(n, gbp(1000));
        let (payment_id, capture_id) = (payment_id(n), capture_id(n));
        self.payment(
            n,
            PaymentEvent::CaptureRequested(payment::CaptureRequested {
                payment_id,
                capture_id,
                amount: gbp(1000),
            }),
        );
        let captured = payment::Captured { payment_id, capture_id, amount: gbp(1000) };
        self.payment(n, PaymentEvent::Captured(captured));
        self.stock(InventoryEvent::Committed(inventory::Committed {
            sku: sku(),
            reservation_id: reservation_id(n),
            quantity: 2,
        }));
        self.checkout(n, CheckoutEvent::Completed(checkout::Completed { order_id: order_id(n) }));
    }

    /// From waiting for dispatch to completed.
    pub(super) fn dispatch(&mut self, n: u128) {
        let order_id = order_id(n);
        self.order(n, OrderEvent::DispatchRecorded(order::DispatchRecorded { order_id }));
        self.stock(InventoryEvent::Dispatched(inventory::Dispatched {
            sku: sku(),
            reservation_id: reservation_id(n),
            quantity: 2,
        }));
        self.order(n, OrderEvent::Completed(order::Completed { order_id }));
        self.checkout(n, CheckoutEvent::DispatchCompleted(checkout::DispatchCompleted { order_id }));
    }

    /// Placed and rejected, with nothing left to undo.
    pub(super) fn sell_out(&mut self, n: u128) {
        self.place(n);
        self.start(n);
        let reason = RejectionReason::InsufficientStock { sku: sku(), requested: 2, available: 1 };
        self.order(n, OrderEvent::Rejected(order::Rejected { order_id: order_id(n), reason }));
        self.checkout(n, CheckoutEvent::Compensated(checkout::Compensated { order_id: order_id(n) }));
    }

    /// From waiting for dispatch to cancelled, everything undone.
    pub(super) fn cancel(&mut self, n: u128) {
        let order_id = order_id(n);
        let reason = CancellationReason::CustomerRequest;
        self.order(n, OrderEvent::Cancelled(order::Cancelled { order_id, reason }));
        let (payment_id, refund_id) = (payment_id(n), refund_id(n));
        self.payment(
            n,
            PaymentEvent::RefundRequested(payment::RefundRequested {
                payment_id,
                refund_id,
                amount: gbp(1000),
                reason: "cancelled".to_owned(),
            }),
        );
        let refunded = payment::Refunded { payment_id, refund_id, amount: gbp(1000) };
        self.payment(n, PaymentEvent::Refunded(refunded));
        self.release(n);
        self.checkout(n, CheckoutEvent::Compensated(checkout::Compensated { order_id }));
    }

    /// A hold that no decider would have given.
    pub(super) fn sell_beyond_stock(&mut self, n: u128, quantity: i64) {
        self.reserve_units(n, quantity);
    }
}
