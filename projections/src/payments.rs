//! The read model of payments: amounts asked for, held, taken and given back.
//!
//! The read model of orders keeps the same table for the status that it shows, written by the same
//! function: two read models share code, never rows.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{
    Category, Money,
    payment::{Operation, PaymentEvent},
};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View};

/// Payments.
#[derive(Debug)]
pub struct Payments;

static DEFINITION: Definition = Definition {
    name: "payments",
    version: 1,
    categories: &[Category::Payment],
    names: &[],
    tables: &[Table { name: "payments", key: "payment_id" }],
    create: include_str!("payments/tables.sql"),
    indexes: "create index payments_by_time on payments (requested_at, payment_id);
              create index payments_by_status on payments (status, requested_at, payment_id);",
    views: &[View {
        name: "payments",
        query: "select payment_id, order_id, status, currency, requested, authorized, captured, refunded,
                    decline_code, provider_reference, revision, requested_at, updated_at
                from payments",
    }],
    kept_whole: None,
};

/// A row of `read.payments`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PaymentRow {
    /// The payment.
    pub payment_id: Uuid,
    /// What it pays for.
    pub order_id: Uuid,
    /// `requested`, `unknown`, `authorized`, `declined`, `voiding`, `voided`, `partially_captured`,
    /// `captured`, `partially_refunded` or `refunded`.
    pub status: String,
    /// ISO 4217, of all amounts.
    pub currency: String,
    /// What was asked for, in minor units.
    pub requested: i64,
    /// What the provider held.
    pub authorized: i64,
    /// What was taken.
    pub captured: i64,
    /// What was given back.
    pub refunded: i64,
    /// Why the provider would not, as its code.
    pub decline_code: Option<String>,
    /// The provider's own id of the payment.
    pub provider_reference: Option<String>,
    /// The revision of its stream.
    pub revision: i64,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When anything changed last.
    pub updated_at: DateTime<Utc>,
}

impl PaymentRow {
    /// Its columns, for a select.
    pub const COLUMNS: &'static str = "payment_id, order_id, status, currency, requested, authorized, captured, refunded, decline_code, \
        provider_reference, revision, requested_at, updated_at";
}

#[async_trait]
impl Projector for Payments {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        write(facts, db).await
    }
}

/// What a batch does to one payment.
#[derive(Default)]
struct Change<'a> {
    requested: Option<(Uuid, Money, DateTime<Utc>)>,
    authorization: Option<&'static str>,
    authorized: Option<i64>,
    captured: i64,
    refunded: i64,
    void_requested: bool,
    decline_code: Option<&'a str>,
    provider_reference: Option<&'a str>,
    revision: i64,
    at: DateTime<Utc>,
}

/// Writes what a batch says of payments into the table `payments` of the search path.
pub(crate) async fn write(facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
    let changes = fold(facts)?;
    let (requested, changed): (Vec<_>, Vec<_>) =
        changes.iter().partition(|(_, change)| change.requested.is_some());
    write_requested(&requested, db).await?;
    write_changed(&changed, db).await
}

fn fold<'a>(facts: &[&'a Fact]) -> Result<BTreeMap<Uuid, Change<'a>>, ApplyError> {
    let mut changes: BTreeMap<Uuid, Change<'_>> = BTreeMap::new();
    let add = |sum: i64, more: i64| sum.checked_add(more).ok_or(ApplyError::Overflow);
    for fact in facts {
        let Event::Payment(event) = &fact.event else { continue };
        let change = changes.entry(payment_of(event)).or_default();
        (change.revision, change.at) = (fact.revision, fact.occurred_at);
        match event {
            PaymentEvent::Requested(event) => {
                change.requested = Some((event.order_id.0, event.amount, fact.occurred_at));
            }
            PaymentEvent::Authorized(event) => {
                change.authorization = Some("authorized");
                change.authorized = Some(event.amount.amount);
                change.provider_reference = Some(&event.provider_reference);
            }
            PaymentEvent::Declined(event) => {
                change.authorization = Some("declined");
                change.decline_code = Some(&event.code);
            }
            PaymentEvent::OutcomeUnknown(event) => match event.operation {
                Operation::Authorize => change.authorization = Some("unknown"),
                Operation::Capture { .. } | Operation::Void | Operation::Refund { .. } => {}
            },
            PaymentEvent::Captured(event) => change.captured = add(change.captured, event.amount.amount)?,
            PaymentEvent::Refunded(event) => change.refunded = add(change.refunded, event.amount.amount)?,
            PaymentEvent::VoidRequested(_) => change.void_requested = true,
            PaymentEvent::Voided(_) => change.authorization = Some("voided"),
            PaymentEvent::CaptureRequested(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::RefundRequested(_)
            | PaymentEvent::RefundFailed(_)
            | PaymentEvent::DiscrepancyFound(_)
            | PaymentEvent::AttentionRequired(_) => {}
        }
    }
    Ok(changes)
}

/// The payment that an event is about.
pub(crate) fn payment_of(event: &PaymentEvent) -> Uuid {
    match event {
        PaymentEvent::Requested(event) => event.payment_id,
        PaymentEvent::Authorized(event) => event.payment_id,
        PaymentEvent::Declined(event) => event.payment_id,
        PaymentEvent::OutcomeUnknown(event) => event.payment_id,
        PaymentEvent::CaptureRequested(event) => event.payment_id,
        PaymentEvent::Captured(event) => event.payment_id,
        PaymentEvent::CaptureFailed(event) => event.payment_id,
        PaymentEvent::VoidRequested(event) => event.payment_id,
        PaymentEvent::Voided(event) => event.payment_id,
        PaymentEvent::RefundRequested(event) => event.payment_id,
        PaymentEvent::Refunded(event) => event.payment_id,
        PaymentEvent::RefundFailed(event) => event.payment_id,
        PaymentEvent::DiscrepancyFound(event) => event.payment_id,
        PaymentEvent::AttentionRequired(event) => event.payment_id,
    }
    .0
}

/// Payments that a batch is about, each with what it does to them.
type Changed<'a> = [(&'a Uuid, &'a Change<'a>)];

/// A statement whose first ten parameters are what the batch does to each payment.
fn with_changes(sql: &'static str, changes: &Changed<'_>) -> Query<'static, Postgres, PgArguments> {
    fn column<'a, T>(changes: &Changed<'a>, of: impl Fn(&'a Change<'a>) -> T) -> Vec<T> {
        changes.iter().map(|(_, change)| of(change)).collect()
    }
    sqlx::query(sql)
        .bind(changes.iter().map(|(payment, _)| **payment).collect::<Vec<_>>())
        .bind(column(changes, |change| change.authorization))
        .bind(column(changes, |change| change.authorized))
        .bind(column(changes, |change| change.captured))
        .bind(column(changes, |change| change.refunded))
        .bind(column(changes, |change| change.void_requested))
        .bind(column(changes, |change| change.decline_code))
        .bind(column(changes, |change| change.provider_reference))
        .bind(column(changes, |change| change.revision))
        .bind(column(changes, |change| change.at))
}

/// Writes payments that were requested in the batch, as it leaves them.
async fn write_requested(changes: &Changed<'_>, db: &mut PgConnection) -> Result<(), ApplyError> {
    let (mut orders, mut currencies) = (Vec::new(), Vec::new());
    let (mut amounts, mut requested_at) = (Vec::new(), Vec::new());
    for (order, amount, at) in changes.iter().filter_map(|(_, change)| change.requested) {
        orders.push(order);
        currencies.push(amount.currency.code());
        amounts.push(amount.amount);
        requested_at.push(at);
    }
    if orders.is_empty() {
        return Ok(());
    }
    let sql = "insert into payments (payment_id, authorization_status, authorized, captured, refunded,
                                     void_requested, decline_code, provider_reference, revision, updated_at,
                                     order_id, currency, requested, requested_at)
               select payment_id, coalesce(authorization_status, 'requested'), coalesce(authorized, 0), captured,
                   refunded, void_requested, decline_code, provider_reference, revision, at,
                   order_id, currency, requested, requested_at
               from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                           $7::text[], $8::text[], $9::bigint[], $10::timestamptz[],
                           $11::uuid[], $12::text[], $13::bigint[], $14::timestamptz[])
                   as requested (payment_id, authorization_status, authorized, captured, refunded,
                                 void_requested, decline_code, provider_reference, revision, at,
                                 order_id, currency, requested, requested_at)";
    with_changes(sql, changes)
        .bind(orders)
        .bind(currencies)
        .bind(amounts)
        .bind(requested_at)
        .execute(db)
        .await?;
    Ok(())
}

/// Writes what became of payments that were requested before.
async fn write_changed(changes: &Changed<'_>, db: &mut PgConnection) -> Result<(), ApplyError> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = "update payments
               set authorization_status = coalesce(change.authorization_status, payments.authorization_status),
                   authorized = coalesce(change.authorized, payments.authorized),
                   captured = payments.captured + change.captured,
                   refunded = payments.refunded + change.refunded,
                   void_requested = payments.void_requested or change.void_requested,
                   decline_code = coalesce(change.decline_code, payments.decline_code),
                   provider_reference = coalesce(change.provider_reference, payments.provider_reference),
                   revision = change.revision, updated_at = change.at
               from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                           $7::text[], $8::text[], $9::bigint[], $10::timestamptz[])
                   as change (payment_id, authorization_status, authorized, captured, refunded, void_requested,
                              decline_code, provider_reference, revision, at)
               where payments.payment_id = change.payment_id";
    let done = with_changes(sql, changes).execute(db).await?;
    ApplyError::unless_all("payments", changes.len(), &done)
}
