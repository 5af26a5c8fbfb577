//! The read model that live followers of orders are served from: one row an event, with what a
//! frontend may see of it. Contact data and means of payment stay in the log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{
    Category, Money,
    order::{CancellationReason, OrderEvent, RejectionReason},
    payment::PaymentEvent,
};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View, orders, payments};

/// Changes of orders and their payments.
#[derive(Debug)]
pub struct Feed;

static DEFINITION: Definition = Definition {
    name: "feed",
    version: 1,
    categories: &[Category::Order, Category::Payment],
    names: &[],
    tables: &[Table { name: "changes", key: "position" }],
    create: include_str!("feed/tables.sql"),
    indexes: "create index changes_of_orders on changes (order_id, position);",
    views: &[View {
        name: "order_changes",
        query: "select position, order_id, name, status, data, occurred_at from changes",
    }],
    kept_whole: Some(
        "it is followed in the order of the log: who is sent what one partition has would have passed what a \
         slower one brings in later",
    ),
};

/// A row of `read.order_changes`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ChangeRow {
    /// The event's place in the log.
    pub position: i64,
    /// The order.
    pub order_id: Uuid,
    /// The event's wire name.
    pub name: String,
    /// The order's status afterwards; absent where the event is about its payment.
    pub status: Option<String>,
    /// What the event says.
    pub data: Json<Value>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

impl ChangeRow {
    /// Its columns, for a select.
    pub const COLUMNS: &'static str = "position, order_id, name, status, data, occurred_at";
}

#[async_trait]
impl Projector for Feed {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        let (mut positions, mut order_ids, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let (mut statuses, mut data, mut occurred_at) = (Vec::new(), Vec::new(), Vec::new());
        for fact in facts {
            let (order_id, status, seen) = match &fact.event {
                Event::Order(event) => {
                    (orders::order_of(event), Some(orders::status_after(event)), order_data(event))
                }
                Event::Payment(event) => (payments::payment_of(event), None, payment_data(event)),
                Event::Catalog(_)
                | Event::Inventory(_)
                | Event::Checkout(_)
                | Event::Credit(_)
                | Event::Ledger(_)
                | Event::Webhook(_) => continue,
            };
            positions.push(fact.position);
            order_ids.push(order_id);
            names.push(fact.name.as_str());
            statuses.push(status);
            data.push(Json(seen));
            occurred_at.push(fact.occurred_at);
        }
        if positions.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into changes (position, order_id, name, status, data, occurred_at)
             select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[],
                                  $6::timestamptz[])",
        )
        .bind(positions)
        .bind(order_ids)
        .bind(names)
        .bind(statuses)
        .bind(data)
        .bind(occurred_at)
        .execute(db)
        .await?;
        Ok(())
    }
}

/// What is shown of an event.
#[derive(Serialize)]
#[serde(untagged)]
enum Seen<'e> {
    Placed { lines: usize, total: Money },
    Total { total: Money },
    Amount { amount: Money },
    Code { code: &'e str },
    Rejected { reason: &'e RejectionReason },
    Cancelled { reason: Rule<'e> },
    Nothing {},
}

/// A reason that is no more than its name.
#[derive(Serialize)]
struct Rule<'e> {
    rule: &'e CancellationReason,
}

fn order_data(event: &OrderEvent) -> Seen<'_> {
    match event {
        OrderEvent::Placed(event) => Seen::Placed { lines: event.lines.len(), total: event.total },
        OrderEvent::Confirmed(event) => Seen::Total { total: event.total },
        OrderEvent::Rejected(event) => Seen::Rejected { reason: &event.reason },
        OrderEvent::Cancelled(event) => Seen::Cancelled { reason: Rule { rule: &event.reason } },
        OrderEvent::DispatchRecorded(_) | OrderEvent::Completed(_) => Seen::Nothing {},
    }
}

fn payment_data(event: &PaymentEvent) -> Seen<'_> {
    match event {
        PaymentEvent::Requested(event) => Seen::Amount { amount: event.amount },
        PaymentEvent::Authorized(event) => Seen::Amount { amount: event.amount },
        PaymentEvent::Declined(event) => Seen::Code { code: &event.code },
        PaymentEvent::CaptureRequested(event) => Seen::Amount { amount: event.amount },
        PaymentEvent::Captured(event) => Seen::Amount { amount: event.amount },
        PaymentEvent::CaptureFailed(event) => Seen::Code { code: &event.code },
        PaymentEvent::RefundRequested(event) => Seen::Amount { amount: event.amount },
        PaymentEvent::Refunded(event) => Seen::Amount { amount: event.amount },
        PaymentEvent::RefundFailed(event) => Seen::Code { code: &event.code },
        PaymentEvent::OutcomeUnknown(_)
        | PaymentEvent::VoidRequested(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::DiscrepancyFound(_)
        | PaymentEvent::AttentionRequired(_) => Seen::Nothing {},
    }
}
