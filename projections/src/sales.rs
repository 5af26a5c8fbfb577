//! The read model of sales: by day of business time (UTC) and currency. A sale is an order that was
//! confirmed; one that is rejected or cancelled later stays a sale of its day and is counted as
//! cancelled on the day on which that happened, so that a closed day never changes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::NaiveDate;
use events::{
    Category, Money, credit::CreditEvent, ledger::LedgerEvent, order::OrderEvent, payment::PaymentEvent,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View, orders};

/// Sales by day and currency.
#[derive(Debug)]
pub struct Sales;

static DEFINITION: Definition = Definition {
    name: "sales",
    version: 2,
    categories: &[Category::Order, Category::Payment, Category::Credit, Category::Ledger],
    names: &[
        "OrderPlaced",
        "OrderConfirmed",
        "OrderRejected",
        "OrderCancelled",
        "PaymentRefunded",
        "CreditNoteIssued",
        "LedgerAdjusted",
    ],
    tables: &[
        Table { name: "sales_days", key: "day, currency" },
        Table { name: "sold_orders", key: "order_id" },
    ],
    create: include_str!("sales/tables.sql"),
    indexes: "",
    views: &[View {
        name: "sales_days",
        query: "select day, currency, orders, units, amount, cancelled_orders, cancelled_units,
                    cancelled_amount, refunds, refunded_amount, credits, credited_amount, adjustments,
                    adjusted_amount
                from sales_days",
    }],
    kept_whole: None,
};

/// A row of `read.sales_days`, or the sum of several. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SalesRow {
    /// The day, or the first day of the month.
    pub day: NaiveDate,
    /// ISO 4217.
    pub currency: String,
    /// Orders confirmed.
    pub orders: i64,
    /// Units in them.
    pub units: i64,
    /// What they come to.
    pub amount: i64,
    /// Confirmed orders that were rejected or cancelled.
    pub cancelled_orders: i64,
    /// Units in them.
    pub cancelled_units: i64,
    /// What they came to.
    pub cancelled_amount: i64,
    /// Refunds made.
    pub refunds: i64,
    /// What they come to.
    pub refunded_amount: i64,
    /// Credit notes issued.
    pub credits: i64,
    /// What they come to.
    pub credited_amount: i64,
    /// Adjustments made in the ledger.
    pub adjustments: i64,
    /// What they come to, with its sign.
    pub adjusted_amount: i64,
}

/// What a batch says of days, apart from what has to be looked up of orders.
#[derive(Default)]
struct Day {
    refunds: i64,
    refunded: i64,
    credits: i64,
    credited: i64,
    adjustments: i64,
    adjusted: i64,
}

#[derive(Default)]
struct Changes {
    placed: BTreeMap<Uuid, (Money, i64)>,
    confirmed: BTreeMap<Uuid, NaiveDate>,
    cancelled: BTreeMap<Uuid, NaiveDate>,
    days: BTreeMap<(NaiveDate, &'static str), Day>,
}

#[async_trait]
impl Projector for Sales {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        let changes = fold(facts)?;
        write_orders(&changes, db).await?;
        write_days(&changes, db).await
    }
}

fn fold(facts: &[&Fact]) -> Result<Changes, ApplyError> {
    let mut changes = Changes::default();
    for fact in facts {
        let day = fact.occurred_at.date_naive();
        match &fact.event {
            Event::Order(OrderEvent::Placed(event)) => {
                changes.placed.insert(event.order_id.0, (event.total, orders::units_of(event)?));
            }
            Event::Order(OrderEvent::Confirmed(event)) => {
                changes.confirmed.insert(event.order_id.0, day);
            }
            Event::Order(OrderEvent::Rejected(event)) => {
                changes.cancelled.insert(event.order_id.0, day);
            }
            Event::Order(OrderEvent::Cancelled(event)) => {
                changes.cancelled.insert(event.order_id.0, day);
            }
            Event::Payment(PaymentEvent::Refunded(event)) => {
                let entry = changes.days.entry((day, event.amount.currency.code())).or_default();
                count(&mut entry.refunds, &mut entry.refunded, event.amount)?;
            }
            Event::Credit(CreditEvent::Issued(event)) => {
                let entry = changes.days.entry((day, event.total.currency.code())).or_default();
                count(&mut entry.credits, &mut entry.credited, event.total)?;
            }
            Event::Ledger(LedgerEvent::Adjusted(event)) => {
                let entry = changes.days.entry((day, event.amount.currency.code())).or_default();
                count(&mut entry.adjustments, &mut entry.adjusted, event.amount)?;
            }
            Event::Order(OrderEvent::DispatchRecorded(_) | OrderEvent::Completed(_))
            | Event::Payment(_)
            | Event::Catalog(_)
            | Event::Inventory(_)
            | Event::Checkout(_)
            | Event::Webhook(_) => {}
        }
    }
    Ok(changes)
}

fn count(times: &mut i64, sum: &mut i64, amount: Money) -> Result<(), ApplyError> {
    *times += 1;
    *sum = sum.checked_add(amount.amount).ok_or(ApplyError::Overflow)?;
    Ok(())
}

/// Keeps what each order is of, and whether it was confirmed.
async fn write_orders(changes: &Changes, db: &mut PgConnection) -> Result<(), ApplyError> {
    let (mut ids, mut currencies, mut units, mut amounts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, (total, of_units)) in &changes.placed {
        ids.push(*id);
        currencies.push(total.currency.code());
        units.push(*of_units);
        amounts.push(total.amount);
    }
    if !ids.is_empty() {
        sqlx::query(
            "insert into sold_orders (order_id, currency, units, amount)
             select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])",
        )
        .bind(ids)
        .bind(currencies)
        .bind(units)
        .bind(amounts)
        .execute(&mut *db)
        .await?;
    }
    if changes.confirmed.is_empty() {
        return Ok(());
    }
    let confirmed: Vec<Uuid> = changes.confirmed.keys().copied().collect();
    let done = sqlx::query("update sold_orders set confirmed = true where order_id = any($1)")
        .bind(confirmed)
        .execute(db)
        .await?;
    ApplyError::unless_all("sold_orders", changes.confirmed.len(), &done)
}

/// Adds the batch to its days, in one statement and in the order of the days, so that workers that
/// write the same days never wait for each other in a circle.
async fn write_days(changes: &Changes, db: &mut PgConnection) -> Result<(), ApplyError> {
    fn column(changes: &Changes, of: impl Fn(&Day) -> i64) -> Vec<i64> {
        changes.days.values().map(of).collect()
    }
    if changes.confirmed.is_empty() && changes.cancelled.is_empty() && changes.days.is_empty() {
        return Ok(());
    }
    let (confirmed, confirmed_on): (Vec<Uuid>, Vec<NaiveDate>) = changes.confirmed.iter().unzip();
    let (cancelled, cancelled_on): (Vec<Uuid>, Vec<NaiveDate>) = changes.cancelled.iter().unzip();
    let (days, currencies): (Vec<NaiveDate>, Vec<&str>) = changes.days.keys().copied().unzip();
    sqlx::query(
        "with part as (
             select day, currency, 1 as orders, units, amount, 0 as cancelled_orders, 0 as cancelled_units,
                 0 as cancelled_amount, 0 as refunds, 0 as refunded_amount, 0 as credits,
                 0 as credited_amount, 0 as adjustments, 0 as adjusted_amount
             from unnest($1::uuid[], $2::date[]) as confirmed (order_id, day) join sold_orders using (order_id)
             union all
             select day, currency, 0, 0, 0, 1, units, amount, 0, 0, 0, 0, 0, 0
             from unnest($3::uuid[], $4::date[]) as cancelled (order_id, day) join sold_orders using (order_id)
             where confirmed
             union all
             select day, currency, 0, 0, 0, 0, 0, 0, refunds, refunded, credits, credited, adjustments, adjusted
             from unnest($5::date[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
                         $11::bigint[], $12::bigint[])
                 as other (day, currency, refunds, refunded, credits, credited, adjustments, adjusted))
         insert into sales_days as days
         select day, currency, sum(orders), sum(units), sum(amount), sum(cancelled_orders),
             sum(cancelled_units), sum(cancelled_amount), sum(refunds), sum(refunded_amount), sum(credits),
             sum(credited_amount), sum(adjustments), sum(adjusted_amount)
         from part group by day, currency order by day, currency
         on conflict (day, currency) do update
             set orders = days.orders + excluded.orders,
                 units = days.units + excluded.units,
                 amount = days.amount + excluded.amount,
                 cancelled_orders = days.cancelled_orders + excluded.cancelled_orders,
                 cancelled_units = days.cancelled_units + excluded.cancelled_units,
                 cancelled_amount = days.cancelled_amount + excluded.cancelled_amount,
                 refunds = days.refunds + excluded.refunds,
                 refunded_amount = days.refunded_amount + excluded.refunded_amount,
                 credits = days.credits + excluded.credits,
                 credited_amount = days.credited_amount + excluded.credited_amount,
                 adjustments = days.adjustments + excluded.adjustments,
                 adjusted_amount = days.adjusted_amount + excluded.adjusted_amount",
    )
    .bind(confirmed)
    .bind(confirmed_on)
    .bind(cancelled)
    .bind(cancelled_on)
    .bind(days)
    .bind(currencies)
    .bind(column(changes, |day| day.refunds))
    .bind(column(changes, |day| day.refunded))
    .bind(column(changes, |day| day.credits))
    .bind(column(changes, |day| day.credited))
    .bind(column(changes, |day| day.adjustments))
    .bind(column(changes, |day| day.adjusted))
    .execute(db)
    .await?;
    Ok(())
}
