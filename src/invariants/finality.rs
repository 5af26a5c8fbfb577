//! I5: every order has come to an end, is owned by a live deadline, or is in the hands of a person; and
//! one that has come to an end holds neither money nor stock that it should not, and keeps what it should.

mod stuck;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    checkout::CheckoutEvent,
    ids::{OrderId, Sku},
    order::{OrderEvent, Placed},
};
use projections::{Event, Fact};

use stuck::Stuck;

use super::{
    Note, Violation,
    payments::{Account, Payments},
    report::Findings,
    stock::Stock,
};

#[derive(Debug, Default)]
pub(super) struct Finality {
    orders: BTreeMap<OrderId, Progress>,
}

/// How far an order and its checkout have come.
#[derive(Debug)]
struct Progress {
    total: i64,
    ordered: BTreeMap<Sku, i128>,
    order: Order,
    checkout: Checkout,
    stuck: Stuck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Placed,
    Confirmed,
    Dispatched,
    Completed,
    Rejected,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkout {
    NotStarted,
    Running { deadline: DateTime<Utc> },
    Completed,
    DispatchCompleted,
    Compensating { deadline: Option<DateTime<Utc>> },
    Compensated,
}

/// What an order that has come to an end may hold.
enum End {
    /// All of its stock, until it is dispatched, and its money.
    Sold,
    /// Its money.
    Gone,
    /// Nothing.
    Undone,
}

impl Finality {
    pub(super) fn take(&mut self, fact: &Fact) {
        match &fact.event {
            Event::Order(event) => self.take_order(event),
            Event::Checkout(event) => self.take_checkout(event),
            Event::Catalog(_)
            | Event::Inventory(_)
            | Event::Payment(_)
            | Event::Credit(_)
            | Event::Ledger(_)
            | Event::Webhook(_) => {}
        }
    }

    fn take_order(&mut self, event: &OrderEvent) {
        let (order_id, reached) = match event {
            OrderEvent::Placed(placed) => {
                let progress = Progress {
                    total: placed.total.amount,
                    ordered: units_of(placed),
                    order: Order::Placed,
                    checkout: Checkout::NotStarted,
                    stuck: Stuck::default(),
                };
                self.orders.insert(placed.order_id, progress);
                return;
            }
            OrderEvent::Confirmed(event) => (event.order_id, Order::Confirmed),
            OrderEvent::Rejected(event) => (event.order_id, Order::Rejected),
            OrderEvent::Cancelled(event) => (event.order_id, Order::Cancelled),
            OrderEvent::DispatchRecorded(event) => (event.order_id, Order::Dispatched),
            OrderEvent::Completed(event) => (event.order_id, Order::Completed),
        };
        if let Some(progress) = self.orders.get_mut(&order_id) {
            progress.order = reached;
        }
    }

    fn take_checkout(&mut self, event: &CheckoutEvent) {
        let Some(progress) = self.orders.get_mut(order_of(event)) else { return };
        progress.stuck.settle(event);
        match event {
            CheckoutEvent::Started(event) => {
                progress.checkout = Checkout::Running { deadline: event.deadline };
            }
            CheckoutEvent::CompensationStarted(_) => {
                progress.checkout = Checkout::Compensating { deadline: progress.checkout.deadline() };
            }
            CheckoutEvent::Completed(_) => progress.checkout = Checkout::Completed,
            CheckoutEvent::DispatchCompleted(_) => progress.checkout = Checkout::DispatchCompleted,
            CheckoutEvent::Compensated(_) => progress.checkout = Checkout::Compensated,
            CheckoutEvent::AttentionRequired(event) => progress.stuck.raise(&event.step),
            CheckoutEvent::StockReserved(_)
            | CheckoutEvent::PaymentAuthorized(_)
            | CheckoutEvent::OrderConfirmed(_)
            | CheckoutEvent::PaymentCaptured(_)
            | CheckoutEvent::DispatchStarted(_)
            | CheckoutEvent::StockReleased(_)
            | CheckoutEvent::PaymentUndone(_)
            | CheckoutEvent::DeadlinePassed(_) => {}
        }
    }

    pub(super) fn finish(
        &self,
        now: DateTime<Utc>,
        stock: &Stock,
        payments: &Payments,
        findings: &mut Findings,
    ) {
        let held_by_order = stock.held_by_order();
        for (order_id, progress) in &self.orders {
            let units = held_by_order.get(order_id).copied().unwrap_or_default();
            match progress.end() {
                None => progress.explain_unfinished(*order_id, now, payments, findings),
                Some(end) => {
                    progress.check_money(*order_id, &end, payments, findings);
                    progress.check_stock(*order_id, &end, units, stock, findings);
                }
            }
        }
    }

    pub(super) fn summary(&self) -> String {
        let ended = self.orders.values().filter(|progress| progress.end().is_some()).count();
        format!("{} orders, {ended} of them at their end", self.orders.len())
    }
}

impl Progress {
    fn end(&self) -> Option<End> {
        match (self.order, self.checkout) {
            (Order::Confirmed, Checkout::Completed) => Some(End::Sold),
            (Order::Completed, Checkout::DispatchCompleted) => Some(End::Gone),
            (Order::Rejected | Order::Cancelled, Checkout::Compensated) => Some(End::Undone),
            (
                Order::Placed
                | Order::Confirmed
                | Order::Dispatched
                | Order::Completed
                | Order::Rejected
                | Order::Cancelled,
                Checkout::NotStarted
                | Checkout::Running { .. }
                | Checkout::Completed
                | Checkout::DispatchCompleted
                | Checkout::Compensating { .. }
                | Checkout::Compensated,
            ) => None,
        }
    }

    fn explain_unfinished(
        &self,
        order_id: OrderId,
        now: DateTime<Utc>,
        payments: &Payments,
        findings: &mut Findings,
    ) {
        let state = self.order.name();
        if self.stuck.is_open() || payments.of_order(order_id).is_some_and(Account::waits) {
            findings.note(Note::WaitsForPerson { order_id, state });
            return;
        }
        let deadline = self.checkout.deadline();
        if let Some(deadline) = deadline.filter(|deadline| now < *deadline) {
            findings.note(Note::OwnedByDeadline { order_id, state, deadline });
            return;
        }
        let checkout = self.checkout.name();
        findings.broken(Violation::Unfinished { order_id, order: state, checkout, deadline });
    }

    fn check_money(&self, order_id: OrderId, end: &End, payments: &Payments, findings: &mut Findings) {
        let order = self.order.name();
        let account = payments.of_order(order_id);
        match end {
            End::Sold | End::Gone => {
                let captured = account.map_or(0, Account::captured);
                if captured != i128::from(self.total) {
                    let why = account.and_then(|account| account.why_captured_otherwise(self.total));
                    let total = self.total;
                    findings.broken_unless(why, Violation::NotPaid { order_id, order, captured, total });
                }
            }
            End::Undone => {
                let (kept, held) = (account.map_or(0, Account::kept), account.map_or(0, Account::held));
                if kept != 0 || held != 0 {
                    let why = account.and_then(Account::open);
                    findings.broken_unless(why, Violation::HoldsMoney { order_id, order, kept, held });
                }
            }
        }
    }

    fn check_stock(&self, order_id: OrderId, end: &End, units: i128, stock: &Stock, findings: &mut Findings) {
        let order = self.order.name();
        match end {
            End::Sold => {
                for (sku, ordered) in &self.ordered {
                    let committed = stock.committed_to(order_id, sku);
                    if committed != *ordered {
                        let (sku, ordered) = (sku.clone(), *ordered);
                        findings.broken(Violation::NotKept { order_id, order, sku, ordered, committed });
                    }
                }
            }
            End::Gone | End::Undone => {
                if units != 0 {
                    findings.broken(Violation::HoldsStock { order_id, order, units });
                }
            }
        }
    }
}

fn order_of(event: &CheckoutEvent) -> &OrderId {
    match event {
        CheckoutEvent::Started(event) => &event.order_id,
        CheckoutEvent::StockReserved(event) => &event.order_id,
        CheckoutEvent::PaymentAuthorized(event) => &event.order_id,
        CheckoutEvent::OrderConfirmed(event) => &event.order_id,
        CheckoutEvent::PaymentCaptured(event) => &event.order_id,
        CheckoutEvent::Completed(event) => &event.order_id,
        CheckoutEvent::DispatchStarted(event) => &event.order_id,
        CheckoutEvent::DispatchCompleted(event) => &event.order_id,
        CheckoutEvent::CompensationStarted(event) => &event.order_id,
        CheckoutEvent::StockReleased(event) => &event.order_id,
        CheckoutEvent::PaymentUndone(event) => &event.order_id,
        CheckoutEvent::Compensated(event) => &event.order_id,
        CheckoutEvent::DeadlinePassed(event) => &event.order_id,
        CheckoutEvent::AttentionRequired(event) => &event.order_id,
    }
}

/// The units of each SKU that an order is of; a SKU may be on several lines.
fn units_of(placed: &Placed) -> BTreeMap<Sku, i128> {
    let mut units = BTreeMap::new();
    for line in &placed.lines {
        *units.entry(line.sku.clone()).or_default() += i128::from(line.quantity);
    }
    units
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Confirmed => "confirmed",
            Self::Dispatched => "dispatched",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Checkout {
    const fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Running { .. } => "running",
            Self::Completed => "completed",
            Self::DispatchCompleted => "dispatched",
            Self::Compensating { .. } => "compensating",
            Self::Compensated => "compensated",
        }
    }

    const fn deadline(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Running { deadline } => Some(deadline),
            Self::Compensating { deadline } => deadline,
            Self::NotStarted | Self::Completed | Self::DispatchCompleted | Self::Compensated => None,
        }
    }
}
