//! The read model of orders: what was agreed, what became of it, and what became of the money.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{
    Category,
    order::{OrderEvent, Origin, Placed},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View, payments};

/// Orders, their lines and the status of their payments.
#[derive(Debug)]
pub struct Orders;

static DEFINITION: Definition = Definition {
    name: "orders",
    version: 2,
    categories: &[Category::Order, Category::Payment],
    names: &[],
    tables: &[
        Table { name: "orders", key: "order_id" },
        Table { name: "order_lines", key: "order_id, line" },
        Table { name: "payments", key: "payment_id" },
    ],
    create: concat!(include_str!("orders/tables.sql"), include_str!("payments/tables.sql")),
    indexes: include_str!("orders/indexes.sql"),
    views: &[
        View { name: "orders", query: include_str!("orders/view.sql") },
        View {
            name: "order_lines",
            query: "select order_id, line, sku, quantity, unit_price_thousandths, amount from order_lines",
        },
    ],
    kept_whole: None,
};

/// A row of `read.orders`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OrderRow {
    /// The order.
    pub order_id: Uuid,
    /// Who bought; absent for a guest.
    pub customer_id: Option<Uuid>,
    /// The order's own status: `placed`, `confirmed`, `rejected`, `cancelled`, `dispatched` or
    /// `completed`.
    pub status: String,
    /// The payment's, as [`payments::PaymentRow::status`], or `none`.
    pub payment_status: String,
    /// What a customer is shown, derived from both.
    pub display_status: String,
    /// Why it was rejected or cancelled.
    pub reason: Option<Json<Value>>,
    /// ISO 4217, of all amounts.
    pub currency: String,
    /// What it comes to, in minor units.
    pub total: i64,
    /// How many units were ordered.
    pub units: i64,
    /// What was taken for it.
    pub captured: i64,
    /// What was given back.
    pub refunded: i64,
    /// `live` or `imported`.
    pub origin: String,
    /// Its number where it was imported from.
    pub reference: Option<String>,
    /// The country that it went to, where known.
    pub country: Option<String>,
    /// The revision of the order's stream.
    pub revision: i64,
    /// The revision of the payment's stream, once there is one.
    pub payment_revision: Option<i64>,
    /// When the customer agreed.
    pub placed_at: DateTime<Utc>,
    /// When the order itself changed last.
    pub updated_at: DateTime<Utc>,
}

impl OrderRow {
    /// Its columns, for a select.
    pub const COLUMNS: &'static str = "order_id, customer_id, status, payment_status, display_status, reason, currency, total, units, \
        captured, refunded, origin, reference, country, revision, payment_revision, placed_at, updated_at";
}

/// A row of `read.order_lines`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Deserialize)]
pub struct OrderLineRow {
    /// The order.
    pub order_id: Uuid,
    /// Its place in the order, from 0.
    pub line: i32,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// What one costs, in thousandths of a minor unit.
    pub unit_price_thousandths: i64,
    /// What the line comes to, in minor units.
    pub amount: i64,
}

impl OrderLineRow {
    /// Its columns, for a select.
    pub const COLUMNS: &'static str = "order_id, line, sku, quantity, unit_price_thousandths, amount";
}

#[async_trait]
impl Projector for Orders {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        let changes = fold(facts);
        write_placed(&changes, db).await?;
        write_lines(&changes, db).await?;
        write_changed(&changes, db).await?;
        payments::write(facts, db).await
    }
}

/// What a batch does to one order.
#[derive(Default)]
struct Change<'a> {
    placed: Option<(&'a Placed, DateTime<Utc>)>,
    status: &'static str,
    reason: Option<Value>,
    revision: i64,
    at: DateTime<Utc>,
}

fn fold<'a>(facts: &[&'a Fact]) -> BTreeMap<Uuid, Change<'a>> {
    let mut changes: BTreeMap<Uuid, Change<'_>> = BTreeMap::new();
    for fact in facts {
        let Event::Order(event) = &fact.event else { continue };
        let change = changes.entry(order_of(event)).or_default();
        (change.revision, change.at) = (fact.revision, fact.occurred_at);
        change.status = status_after(event);
        match event {
            OrderEvent::Placed(event) => change.placed = Some((event, fact.occurred_at)),
            OrderEvent::Rejected(event) => change.reason = serde_json::to_value(&event.reason).ok(),
            OrderEvent::Cancelled(event) => change.reason = Some(json!({ "rule": event.reason })),
            OrderEvent::Confirmed(_) | OrderEvent::DispatchRecorded(_) | OrderEvent::Completed(_) => {}
        }
    }
    changes
}

/// The order that an event is about.
pub(crate) fn order_of(event: &OrderEvent) -> Uuid {
    match event {
        OrderEvent::Placed(event) => event.order_id,
        OrderEvent::Confirmed(event) => event.order_id,
        OrderEvent::Rejected(event) => event.order_id,
        OrderEvent::Cancelled(event) => event.order_id,
        OrderEvent::DispatchRecorded(event) => event.order_id,
        OrderEvent::Completed(event) => event.order_id,
    }
    .0
}

/// The status of an order once the event has happened.
pub(crate) fn status_after(event: &OrderEvent) -> &'static str {
    match event {
        OrderEvent::Placed(_) => "placed",
        OrderEvent::Confirmed(_) => "confirmed",
        OrderEvent::Rejected(_) => "rejected",
        OrderEvent::Cancelled(_) => "cancelled",
        OrderEvent::DispatchRecorded(_) => "dispatched",
        OrderEvent::Completed(_) => "completed",
    }
}

/// How many units an order is of.
pub(crate) fn units_of(placed: &Placed) -> Result<i64, ApplyError> {
    placed
        .lines
        .iter()
        .try_fold(0_i64, |units, line| units.checked_add(line.quantity))
        .ok_or(ApplyError::Overflow)
}

/// Writes orders that were placed in the batch, as it leaves them.
async fn write_placed(changes: &BTreeMap<Uuid, Change<'_>>, db: &mut PgConnection) -> Result<(), ApplyError> {
    let (mut orders, mut customers, mut currencies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut totals, mut units, mut placed_at) = (Vec::new(), Vec::new(), Vec::new());
    let (mut origins, mut references, mut countries) = (Vec::new(), Vec::new(), Vec::new());
    let (mut statuses, mut reasons) = (Vec::new(), Vec::new());
    let (mut revisions, mut updated_at) = (Vec::new(), Vec::new());
    for (order, change) in changes {
        let Some((placed, at)) = change.placed else { continue };
        let (origin, reference, country) = match &placed.origin {
            Origin::Live => ("live", None, None),
            Origin::Imported { reference, country, .. } => {
                ("imported", Some(reference.as_str()), country.as_deref())
            }
        };
        orders.push(*order);
        customers.push(placed.customer_id.map(|customer| customer.0));
        currencies.push(placed.total.currency.code());
        totals.push(placed.total.amount);
        units.push(units_of(placed)?);
        placed_at.push(at);
        origins.push(origin);
        references.push(reference);
        countries.push(country);
        statuses.push(change.status);
        reasons.push(change.reason.as_ref().map(Json));
        revisions.push(change.revision);
        updated_at.push(change.at);
    }
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into orders (order_id, customer_id, currency, total, units, origin, reference, country,
                             placed_at, status, reason, revision, updated_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],
                              $7::text[], $8::text[], $9::timestamptz[], $10::text[], $11::jsonb[],
                              $12::bigint[], $13::timestamptz[])",
    )
    .bind(orders)
    .bind(customers)
    .bind(currencies)
    .bind(totals)
    .bind(units)
    .bind(origins)
    .bind(references)
    .bind(countries)
    .bind(placed_at)
    .bind(statuses)
    .bind(reasons)
    .bind(revisions)
    .bind(updated_at)
    .execute(db)
    .await?;
    Ok(())
}

async fn write_lines(changes: &BTreeMap<Uuid, Change<'_>>, db: &mut PgConnection) -> Result<(), ApplyError> {
    let (mut orders, mut places, mut skus) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quantities, mut prices, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
    for (order, change) in changes {
        let lines = change.placed.map_or(&[][..], |(placed, _)| &placed.lines);
        for (place, line) in (0_i32..).zip(lines) {
            orders.push(*order);
            places.push(place);
            skus.push(line.sku.as_str());
            quantities.push(line.quantity);
            prices.push(line.unit_price.thousandths());
            amounts.push(line.amount.amount);
        }
    }
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into order_lines (order_id, line, sku, quantity, unit_price_thousandths, amount)
         select * from unnest($1::uuid[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])",
    )
    .bind(orders)
    .bind(places)
    .bind(skus)
    .bind(quantities)
    .bind(prices)
    .bind(amounts)
    .execute(db)
    .await?;
    Ok(())
}

/// Writes what became of orders that were placed before.
async fn write_changed(
    changes: &BTreeMap<Uuid, Change<'_>>,
    db: &mut PgConnection,
) -> Result<(), ApplyError> {
    let changes: Vec<_> = changes.iter().filter(|(_, change)| change.placed.is_none()).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let reasons: Vec<_> = changes.iter().map(|(_, change)| change.reason.as_ref().map(Json)).collect();
    let done = sqlx::query(
        "update orders
         set status = change.status, reason = coalesce(change.reason, orders.reason),
             revision = change.revision, updated_at = change.at
         from unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[], $5::timestamptz[])
             as change (order_id, status, reason, revision, at)
         where orders.order_id = change.order_id",
    )
    .bind(changes.iter().map(|(order, _)| **order).collect::<Vec<_>>())
    .bind(changes.iter().map(|(_, change)| change.status).collect::<Vec<_>>())
    .bind(reasons)
    .bind(changes.iter().map(|(_, change)| change.revision).collect::<Vec<_>>())
    .bind(changes.iter().map(|(_, change)| change.at).collect::<Vec<_>>())
    .execute(db)
    .await?;
    ApplyError::unless_all("orders", changes.len(), &done)
}
