//! The read model of what a person has to look at: payments whose calls cannot be finished or whose
//! answers do not fit, checkouts that are stuck, webhooks that nobody can make sense of.
//!
//! An item goes away by itself when the log says that the matter was settled after all; a discrepancy
//! stays, because only a person can settle it. An item that is raised again is open again.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{
    Category,
    checkout::CheckoutEvent,
    payment::{Operation, PaymentEvent},
    webhook::WebhookEvent,
};
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View};

/// Items for a person.
#[derive(Debug)]
pub struct Attention;

static DEFINITION: Definition = Definition {
    name: "attention",
    version: 2,
    categories: &[Category::Payment, Category::Checkout, Category::Webhook],
    names: &[],
    tables: &[Table { name: "items", key: "stream, item" }],
    create: include_str!("attention/tables.sql"),
    indexes: "create index items_that_are_open on items (raised_position) where resolved_at is null;",
    views: &[View {
        name: "attention",
        query: "select stream, item, kind, order_id, code, detail, raised_position, raised_at, resolved_at
                from items",
    }],
    kept_whole: Some(
        "it is listed in the order of the log: who comes back with a cursor would have passed what a slower \
         partition brings in later",
    ),
};

/// A row of `read.attention`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AttentionRow {
    /// The stream that tells more.
    pub stream: String,
    /// What of it: a call to the provider, a step of a checkout.
    pub item: String,
    /// `payment_stuck`, `payment_discrepancy`, `refund_failed`, `checkout_stuck` or
    /// `webhook_unapplied`.
    pub kind: String,
    /// The order that it is about.
    pub order_id: Option<Uuid>,
    /// What is wrong, as the event's code.
    pub code: String,
    /// What else the event says.
    pub detail: Json<Value>,
    /// The event that raised it.
    pub raised_position: i64,
    /// When that was.
    pub raised_at: DateTime<Utc>,
    /// When it was settled; absent while it is open.
    pub resolved_at: Option<DateTime<Utc>>,
}

impl AttentionRow {
    /// Its columns, for a select.
    pub const COLUMNS: &'static str =
        "stream, item, kind, order_id, code, detail, raised_position, raised_at, resolved_at";
}

#[async_trait]
impl Projector for Attention {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        let changes = fold(facts);
        write_raised(&changes, db).await?;
        write_resolved(&changes, db).await
    }
}

/// What one event says of an item.
enum Notice {
    Raised {
        item: String,
        kind: &'static str,
        code: String,
        detail: Value,
    },
    /// Every item of the stream whose name begins so is settled.
    Settled {
        item: String,
    },
}

/// What a batch says of one item.
#[derive(Default)]
struct Change {
    raised: Option<(&'static str, String, Value, i64, DateTime<Utc>)>,
    resolved_at: Option<DateTime<Utc>>,
}

fn fold<'a>(facts: &[&'a Fact]) -> BTreeMap<(&'a str, String), Change> {
    let mut changes: BTreeMap<(&str, String), Change> = BTreeMap::new();
    for fact in facts {
        match notice(&fact.event) {
            Some(Notice::Raised { item, kind, code, detail }) => {
                let raised = Some((kind, code, detail, fact.position, fact.occurred_at));
                changes.insert((fact.stream.as_str(), item), Change { raised, resolved_at: None });
            }
            Some(Notice::Settled { item }) => {
                // It is settled once: what says so again changes nothing, here or in a later batch.
                let change = changes.entry((fact.stream.as_str(), item)).or_default();
                change.resolved_at.get_or_insert(fact.occurred_at);
            }
            None => {}
        }
    }
    changes
}

fn notice(event: &Event) -> Option<Notice> {
    match event {
        Event::Payment(event) => payment_notice(event),
        Event::Checkout(event) => checkout_notice(event),
        Event::Webhook(event) => webhook_notice(event),
        Event::Catalog(_) | Event::Inventory(_) | Event::Order(_) | Event::Credit(_) | Event::Ledger(_) => {
            None
        }
    }
}

fn payment_notice(event: &PaymentEvent) -> Option<Notice> {
    let settled = |operation| Some(Notice::Settled { item: call(operation) });
    match event {
        PaymentEvent::AttentionRequired(event) => Some(Notice::Raised {
            item: call(event.operation),
            kind: "payment_stuck",
            code: "retries_exhausted".to_owned(),
            detail: json!({ "operation": event.operation, "attempts": event.attempts }),
        }),
        PaymentEvent::DiscrepancyFound(event) => Some(Notice::Raised {
            item: format!("discrepancy:{}:{}", call(event.operation), event.code),
            kind: "payment_discrepancy",
            code: event.code.clone(),
            detail: json!({
                "operation": event.operation, "expected": event.expected, "reported": event.reported,
            }),
        }),
        PaymentEvent::RefundFailed(event) => Some(Notice::Raised {
            item: call(Operation::Refund { refund_id: event.refund_id }),
            kind: "refund_failed",
            code: event.code.clone(),
            detail: json!({ "refund_id": event.refund_id }),
        }),
        PaymentEvent::Authorized(_) | PaymentEvent::Declined(_) => settled(Operation::Authorize),
        PaymentEvent::Captured(event) => settled(Operation::Capture { capture_id: event.capture_id }),
        PaymentEvent::CaptureFailed(event) => settled(Operation::Capture { capture_id: event.capture_id }),
        PaymentEvent::Voided(_) => settled(Operation::Void),
        PaymentEvent::Refunded(event) => settled(Operation::Refund { refund_id: event.refund_id }),
        PaymentEvent::Requested(_)
        | PaymentEvent::OutcomeUnknown(_)
        | PaymentEvent::CaptureRequested(_)
        | PaymentEvent::VoidRequested(_)
        | PaymentEvent::RefundRequested(_) => None,
    }
}

/// A call to the provider, as the name of an item.
fn call(operation: Operation) -> String {
    match operation {
        Operation::Authorize => "authorize".to_owned(),
        Operation::Capture { capture_id } => format!("capture:{capture_id}"),
        Operation::Void => "void".to_owned(),
        Operation::Refund { refund_id } => format!("refund:{refund_id}"),
    }
}

/// The one item of a checkout: it is stuck at one step at a time.
const STEP: &str = "step";

fn checkout_notice(event: &CheckoutEvent) -> Option<Notice> {
    match event {
        CheckoutEvent::AttentionRequired(event) => Some(Notice::Raised {
            item: STEP.to_owned(),
            kind: "checkout_stuck",
            code: event.step.clone(),
            detail: json!({}),
        }),
        CheckoutEvent::Completed(_) | CheckoutEvent::DispatchCompleted(_) | CheckoutEvent::Compensated(_) => {
            Some(Notice::Settled { item: STEP.to_owned() })
        }
        CheckoutEvent::Started(_)
        | CheckoutEvent::StockReserved(_)
        | CheckoutEvent::PaymentAuthorized(_)
        | CheckoutEvent::OrderConfirmed(_)
        | CheckoutEvent::PaymentCaptured(_)
        | CheckoutEvent::DispatchStarted(_)
        | CheckoutEvent::CompensationStarted(_)
        | CheckoutEvent::StockReleased(_)
        | CheckoutEvent::PaymentUndone(_)
        | CheckoutEvent::DeadlinePassed(_) => None,
    }
}

fn webhook_notice(event: &WebhookEvent) -> Option<Notice> {
    match event {
        WebhookEvent::AttentionRequired(event) => Some(Notice::Raised {
            item: event.notification_id.clone(),
            kind: "webhook_unapplied",
            code: event.code.clone(),
            detail: json!({ "notification_id": event.notification_id, "payment_id": event.payment_id }),
        }),
        WebhookEvent::Applied(event) => Some(Notice::Settled { item: event.notification_id.clone() }),
        WebhookEvent::Received(_) => None,
    }
}

async fn write_raised(
    changes: &BTreeMap<(&str, String), Change>,
    db: &mut PgConnection,
) -> Result<(), ApplyError> {
    let (mut streams, mut items, mut kinds, mut orders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut codes, mut details, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut raised_at, mut resolved_at) = (Vec::new(), Vec::new());
    for ((stream, item), change) in changes {
        let Some((kind, code, detail, position, at)) = &change.raised else { continue };
        streams.push(*stream);
        items.push(item.as_str());
        kinds.push(*kind);
        orders.push(order_of(stream, detail));
        codes.push(code.as_str());
        details.push(Json(detail));
        positions.push(*position);
        raised_at.push(*at);
        resolved_at.push(change.resolved_at);
    }
    if streams.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into items (stream, item, kind, order_id, code, detail, raised_position, raised_at, resolved_at)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::jsonb[],
                              $7::bigint[], $8::timestamptz[], $9::timestamptz[])
         on conflict (stream, item) do update
             set kind = excluded.kind, order_id = excluded.order_id, code = excluded.code,
                 detail = excluded.detail,
                 raised_position = excluded.raised_position, raised_at = excluded.raised_at,
                 resolved_at = excluded.resolved_at",
    )
    .bind(streams)
    .bind(items)
    .bind(kinds)
    .bind(orders)
    .bind(codes)
    .bind(details)
    .bind(positions)
    .bind(raised_at)
    .bind(resolved_at)
    .execute(db)
    .await?;
    Ok(())
}

/// The order that a payment, a checkout or a webhook is about: they share its id.
fn order_of(stream: &str, detail: &Value) -> Option<Uuid> {
    let id = detail.get("payment_id").and_then(Value::as_str);
    id.or_else(|| stream.split_once('-').map(|(_, id)| id)).and_then(|id| id.parse().ok())
}

/// Items that were raised before this batch and are settled now. Most settle nothing.
async fn write_resolved(
    changes: &BTreeMap<(&str, String), Change>,
    db: &mut PgConnection,
) -> Result<(), ApplyError> {
    let (mut streams, mut items, mut resolved_at) = (Vec::new(), Vec::new(), Vec::new());
    for ((stream, item), change) in changes {
        if change.raised.is_none() {
            streams.push(*stream);
            items.push(item.as_str());
            resolved_at.push(change.resolved_at);
        }
    }
    if streams.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update items set resolved_at = settled.at
         from unnest($1::text[], $2::text[], $3::timestamptz[]) as settled (stream, item, at)
         where items.stream = settled.stream and items.item = settled.item and items.resolved_at is null",
    )
    .bind(streams)
    .bind(items)
    .bind(resolved_at)
    .execute(db)
    .await?;
    Ok(())
}
