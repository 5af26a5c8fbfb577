//! The read model of stock: what came in, what is held, what is left, per SKU.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Category, inventory::InventoryEvent};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View};

/// Units per SKU.
#[derive(Debug)]
pub struct Stock;

static DEFINITION: Definition = Definition {
    name: "stock",
    version: 1,
    categories: &[Category::Inventory],
    names: &[],
    tables: &[Table { name: "stock", key: "sku" }, Table { name: "holds", key: "sku, reservation_id" }],
    create: include_str!("stock/tables.sql"),
    indexes: "create index holds_by_expiry on holds (expires_at) where not committed;",
    views: &[
        View {
            name: "stock",
            query: "select sku, received, adjusted, reserved, committed, dispatched, available, revision,
                        updated_at
                    from stock",
        },
        View {
            name: "holds",
            query: "select sku, reservation_id, quantity, committed, expires_at from holds",
        },
    ],
    kept_whole: None,
};

/// A row of `read.stock`. All numbers are units.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StockRow {
    /// The SKU.
    pub sku: String,
    /// Came in.
    pub received: i64,
    /// Found (positive) or lost (negative) by counts.
    pub adjusted: i64,
    /// Held for orders whose checkout is not over.
    pub reserved: i64,
    /// Held for orders that are sold and not dispatched yet.
    pub committed: i64,
    /// Left the house.
    pub dispatched: i64,
    /// Free to be sold.
    pub available: i64,
    /// The revision of its stream.
    pub revision: i64,
    /// When anything changed last.
    pub updated_at: DateTime<Utc>,
}

impl StockRow {
    /// Its columns, for a select.
    pub const COLUMNS: &'static str =
        "sku, received, adjusted, reserved, committed, dispatched, available, revision, updated_at";
}

/// What a batch does to the stock of one SKU.
#[derive(Default)]
struct Change {
    received: i64,
    adjusted: i64,
    dispatched: i64,
    revision: i64,
    at: DateTime<Utc>,
}

/// What a batch leaves of one hold.
#[derive(Clone, Copy)]
enum Hold {
    /// It was made in this batch.
    Made { quantity: i64, expires_at: DateTime<Utc>, committed: bool },
    /// It was made before, and became a sale.
    Committed,
    /// It ended: released, expired or dispatched.
    Ended,
}

type Changes<'a> = BTreeMap<&'a str, Change>;
type Holds<'a> = BTreeMap<(&'a str, Uuid), Hold>;

#[async_trait]
impl Projector for Stock {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        let (changes, holds) = fold(facts)?;
        write_units(&changes, db).await?;
        write_holds(&holds, db).await
    }
}

fn fold<'a>(facts: &[&'a Fact]) -> Result<(Changes<'a>, Holds<'a>), ApplyError> {
    let mut changes = Changes::new();
    let mut holds = Holds::new();
    let add = |sum: i64, more: i64| sum.checked_add(more).ok_or(ApplyError::Overflow);
    for fact in facts {
        let Event::Inventory(event) = &fact.event else { continue };
        let sku = sku_of(event);
        let change = changes.entry(sku).or_default();
        (change.revision, change.at) = (fact.revision, fact.occurred_at);
        match event {
            InventoryEvent::Received(event) => change.received = add(change.received, event.quantity)?,
            InventoryEvent::Adjusted(event) => change.adjusted = add(change.adjusted, event.delta)?,
            InventoryEvent::Reserved(event) => {
                let (quantity, expires_at) = (event.quantity, event.expires_at);
                let made = Hold::Made { quantity, expires_at, committed: false };
                holds.insert((sku, event.reservation_id.0), made);
            }
            InventoryEvent::Committed(event) => {
                let hold = holds.entry((sku, event.reservation_id.0)).or_insert(Hold::Committed);
                if let Hold::Made { committed, .. } = hold {
                    *committed = true;
                }
            }
            InventoryEvent::Dispatched(event) => {
                change.dispatched = add(change.dispatched, event.quantity)?;
                holds.insert((sku, event.reservation_id.0), Hold::Ended);
            }
            InventoryEvent::Released(event) => {
                holds.insert((sku, event.reservation_id.0), Hold::Ended);
            }
            InventoryEvent::Expired(event) => {
                holds.insert((sku, event.reservation_id.0), Hold::Ended);
            }
        }
    }
    Ok((changes, holds))
}

fn sku_of(event: &InventoryEvent) -> &str {
    match event {
        InventoryEvent::Received(event) => &event.sku,
        InventoryEvent::Adjusted(event) => &event.sku,
        InventoryEvent::Reserved(event) => &event.sku,
        InventoryEvent::Released(event) => &event.sku,
        InventoryEvent::Expired(event) => &event.sku,
        InventoryEvent::Committed(event) => &event.sku,
        InventoryEvent::Dispatched(event) => &event.sku,
    }
    .as_str()
}

async fn write_units(changes: &Changes<'_>, db: &mut PgConnection) -> Result<(), ApplyError> {
    fn column<T>(changes: &Changes<'_>, of: impl Fn(&Change) -> T) -> Vec<T> {
        changes.values().map(of).collect()
    }
    if changes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into stock (sku, received, adjusted, dispatched, revision, updated_at)
         select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                              $6::timestamptz[])
         on conflict (sku) do update
             set received = stock.received + excluded.received,
                 adjusted = stock.adjusted + excluded.adjusted,
                 dispatched = stock.dispatched + excluded.dispatched,
                 revision = excluded.revision, updated_at = excluded.updated_at",
    )
    .bind(changes.keys().copied().collect::<Vec<_>>())
    .bind(column(changes, |change| change.received))
    .bind(column(changes, |change| change.adjusted))
    .bind(column(changes, |change| change.dispatched))
    .bind(column(changes, |change| change.revision))
    .bind(column(changes, |change| change.at))
    .execute(db)
    .await?;
    Ok(())
}

/// Brings the holds to what the batch leaves of them, and moves the units of what was there before to
/// what is there now.
async fn write_holds(holds: &Holds<'_>, db: &mut PgConnection) -> Result<(), ApplyError> {
    let (mut skus, mut ids, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quantities, mut expiries, mut committed) = (Vec::new(), Vec::new(), Vec::new());
    for ((sku, id), hold) in holds {
        let (quantity, expires_at, is_committed) = match *hold {
            Hold::Made { quantity, expires_at, committed } => (Some(quantity), Some(expires_at), committed),
            Hold::Committed => (None, None, true),
            Hold::Ended => (None, None, false),
        };
        skus.push(*sku);
        ids.push(*id);
        ended.push(matches!(hold, Hold::Ended));
        quantities.push(quantity);
        expiries.push(expires_at);
        committed.push(is_committed);
    }
    sqlx::query(
        "with change as (
             select * from unnest($1::text[], $2::uuid[], $3::boolean[], $4::bigint[], $5::timestamptz[],
                                  $6::boolean[])
                 as change (sku, reservation_id, ended, quantity, expires_at, committed)),
         -- sees the holds as they were before this statement
         before as (
             select sku, -held.quantity as quantity, held.committed
             from change join holds held using (sku, reservation_id)),
         after as (
             select sku, reservation_id, coalesce(change.quantity, held.quantity) as quantity,
                 coalesce(change.expires_at, held.expires_at) as expires_at, change.committed
             from change left join holds held using (sku, reservation_id) where not change.ended),
         removed as (
             delete from holds using change
             where change.ended and holds.sku = change.sku
                 and holds.reservation_id = change.reservation_id),
         written as (
             insert into holds (sku, reservation_id, quantity, expires_at, committed)
             select sku, reservation_id, quantity, expires_at, committed from after
             on conflict (sku, reservation_id) do update
                 set quantity = excluded.quantity, expires_at = excluded.expires_at,
                     committed = excluded.committed),
         moved as (
             select sku,
                 coalesce(sum(quantity) filter (where not committed), 0)::bigint as reserved,
                 coalesce(sum(quantity) filter (where committed), 0)::bigint as committed
             from (select sku, quantity, committed from before
                   union all select sku, quantity, committed from after) as both_sides
             group by sku)
         update stock
         set reserved = stock.reserved + moved.reserved, committed = stock.committed + moved.committed
         from moved where stock.sku = moved.sku",
    )
    .bind(skus)
    .bind(ids)
    .bind(ended)
    .bind(quantities)
    .bind(expiries)
    .bind(committed)
    .execute(db)
    .await?;
    Ok(())
}
