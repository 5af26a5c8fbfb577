//! The read model of stock: what came in, what is held, what is left, per SKU.

use std::collections::{BTreeMap, BTreeSet};

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
    reserved: i64,
    committed: i64,
    dispatched: i64,
    revision: i64,
    at: DateTime<Utc>,
}

/// A hold: of which SKU, and its reservation.
type Key<'a> = (&'a str, Uuid);

/// What a batch leaves of holds.
#[derive(Default)]
struct Holds<'a> {
    /// Those of before that end: released, expired or dispatched.
    ended: BTreeSet<Key<'a>>,
    /// Those of before that become sales.
    committed: BTreeSet<Key<'a>>,
    /// New ones, maybe under the id of one that ends.
    made: BTreeMap<Key<'a>, Made>,
}

/// A hold that is new.
struct Made {
    quantity: i64,
    expires_at: DateTime<Utc>,
    committed: bool,
}

type Changes<'a> = BTreeMap<&'a str, Change>;

#[async_trait]
impl Projector for Stock {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        let (mut changes, holds) = fold(facts)?;
        if !holds.committed.is_empty() {
            commit(&holds.committed, &mut changes, db).await?;
        }
        if !holds.ended.is_empty() {
            end(&holds.ended, &mut changes, db).await?;
        }
        if !changes.is_empty() {
            write(&changes, &holds.made, db).await?;
        }
        Ok(())
    }
}

fn fold<'a>(facts: &[&'a Fact]) -> Result<(Changes<'a>, Holds<'a>), ApplyError> {
    let mut changes = Changes::new();
    let mut holds = Holds::default();
    for fact in facts {
        let Event::Inventory(event) = &fact.event else { continue };
        let sku = sku_of(event);
        let change = changes.entry(sku).or_default();
        (change.revision, change.at) = (fact.revision, fact.occurred_at);
        match event {
            InventoryEvent::Received(event) => change.received = sum(change.received, event.quantity)?,
            InventoryEvent::Adjusted(event) => change.adjusted = sum(change.adjusted, event.delta)?,
            InventoryEvent::Reserved(event) => {
                let (quantity, expires_at) = (event.quantity, event.expires_at);
                let made = Made { quantity, expires_at, committed: false };
                holds.make((sku, event.reservation_id.0), made)?;
            }
            InventoryEvent::Committed(event) => holds.commit((sku, event.reservation_id.0))?,
            InventoryEvent::Dispatched(event) => {
                change.dispatched = sum(change.dispatched, event.quantity)?;
                holds.end((sku, event.reservation_id.0));
            }
            InventoryEvent::Released(event) => holds.end((sku, event.reservation_id.0)),
            InventoryEvent::Expired(event) => holds.end((sku, event.reservation_id.0)),
        }
    }
    for ((sku, _), made) in &holds.made {
        let change = changes.entry(sku).or_default();
        let units = if made.committed { &mut change.committed } else { &mut change.reserved };
        *units = sum(*units, made.quantity)?;
    }
    Ok((changes, holds))
}

fn sum(sum: i64, more: i64) -> Result<i64, ApplyError> {
    sum.checked_add(more).ok_or(ApplyError::Overflow)
}

/// **What the tables refuse of a hold from an earlier batch is refused of one of the same batch**, so that it does not
/// matter where batches end.
impl<'a> Holds<'a> {
    fn make(&mut self, key: Key<'a>, made: Made) -> Result<(), ApplyError> {
        let is_held = self.committed.contains(&key) && !self.ended.contains(&key);
        if is_held || self.made.insert(key, made).is_some() {
            return Err(ApplyError::RowExists { table: "holds" });
        }
        Ok(())
    }

    fn commit(&mut self, key: Key<'a>) -> Result<(), ApplyError> {
        let is_new = match self.made.get_mut(&key) {
            Some(made) => !std::mem::replace(&mut made.committed, true),
            None => !self.ended.contains(&key) && self.committed.insert(key),
        };
        if is_new { Ok(()) } else { Err(ApplyError::MissingRows { table: "holds", expected: 1, found: 0 }) }
    }

    /// What was made in the same batch leaves nothing.
    fn end(&mut self, key: Key<'a>) {
        if self.made.remove(&key).is_none() {
            self.ended.insert(key);
        }
    }
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

/// A hold changes only with its SKU.
fn change_of<'c>(sku: &str, changes: &'c mut Changes<'_>) -> Result<&'c mut Change, ApplyError> {
    changes.get_mut(sku).ok_or(ApplyError::MissingRows { table: "stock", expected: 1, found: 0 })
}

/// Makes sales of holds, and moves their units.
async fn commit(
    committed: &BTreeSet<Key<'_>>,
    changes: &mut Changes<'_>,
    db: &mut PgConnection,
) -> Result<(), ApplyError> {
    let (skus, ids): (Vec<&str>, Vec<Uuid>) = committed.iter().copied().unzip();
    let moved: Vec<(String, i64)> = sqlx::query_as(
        "update holds set committed = true
         from unnest($1::text[], $2::uuid[]) as done (sku, reservation_id)
         where holds.sku = done.sku and holds.reservation_id = done.reservation_id and not holds.committed
         returning holds.sku, holds.quantity",
    )
    .bind(skus)
    .bind(ids)
    .fetch_all(db)
    .await?;
    if moved.len() < committed.len() {
        let (table, expected, found) = ("holds", committed.len(), moved.len() as u64);
        return Err(ApplyError::MissingRows { table, expected, found });
    }
    for (sku, quantity) in moved {
        let change = change_of(&sku, changes)?;
        change.reserved = sum(change.reserved, -quantity)?;
        change.committed = sum(change.committed, quantity)?;
    }
    Ok(())
}

/// Removes holds, and takes their units away from where they were.
async fn end(
    ended: &BTreeSet<Key<'_>>,
    changes: &mut Changes<'_>,
    db: &mut PgConnection,
) -> Result<(), ApplyError> {
    let (skus, ids): (Vec<&str>, Vec<Uuid>) = ended.iter().copied().unzip();
    let removed: Vec<(String, i64, bool)> = sqlx::query_as(
        "delete from holds
         using unnest($1::text[], $2::uuid[]) as done (sku, reservation_id)
         where holds.sku = done.sku and holds.reservation_id = done.reservation_id
         returning holds.sku, holds.quantity, holds.committed",
    )
    .bind(skus)
    .bind(ids)
    .fetch_all(db)
    .await?;
    for (sku, quantity, committed) in removed {
        let change = change_of(&sku, changes)?;
        let units = if committed { &mut change.committed } else { &mut change.reserved };
        *units = sum(*units, -quantity)?;
    }
    Ok(())
}

/// Writes the holds that are new, and what the batch changes of each SKU.
async fn write(
    changes: &Changes<'_>,
    made: &BTreeMap<Key<'_>, Made>,
    db: &mut PgConnection,
) -> Result<(), ApplyError> {
    fn column<T>(changes: &Changes<'_>, of: impl Fn(&Change) -> T) -> Vec<T> {
        changes.values().map(of).collect()
    }
    let (mut skus, mut ids) = (Vec::new(), Vec::new());
    let (mut quantities, mut expiries, mut are_committed) = (Vec::new(), Vec::new(), Vec::new());
    for ((sku, id), made) in made {
        skus.push(*sku);
        ids.push(*id);
        quantities.push(made.quantity);
        expiries.push(made.expires_at);
        are_committed.push(made.committed);
    }
    sqlx::query(
        "with made as (
             insert into holds (sku, reservation_id, quantity, expires_at, committed)
             select * from unnest($9::text[], $10::uuid[], $11::bigint[], $12::timestamptz[], $13::boolean[]))
         insert into stock (sku, received, adjusted, reserved, committed, dispatched, revision, updated_at)
         select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::timestamptz[])
         on conflict (sku) do update
             set received = stock.received + excluded.received,
                 adjusted = stock.adjusted + excluded.adjusted,
                 reserved = stock.reserved + excluded.reserved,
                 committed = stock.committed + excluded.committed,
                 dispatched = stock.dispatched + excluded.dispatched,
                 revision = excluded.revision, updated_at = excluded.updated_at",
    )
    .bind(changes.keys().copied().collect::<Vec<_>>())
    .bind(column(changes, |change| change.received))
    .bind(column(changes, |change| change.adjusted))
    .bind(column(changes, |change| change.reserved))
    .bind(column(changes, |change| change.committed))
    .bind(column(changes, |change| change.dispatched))
    .bind(column(changes, |change| change.revision))
    .bind(column(changes, |change| change.at))
    .bind(skus)
    .bind(ids)
    .bind(quantities)
    .bind(expiries)
    .bind(are_committed)
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: Key<'_> = ("mug", Uuid::nil());

    fn made() -> Made {
        Made { quantity: 1, expires_at: DateTime::UNIX_EPOCH, committed: false }
    }

    #[test]
    fn a_hold_is_made_and_sold_once_until_it_ends() {
        let mut holds = Holds::default();
        holds.make(KEY, made()).unwrap();
        assert!(holds.make(KEY, made()).is_err());
        holds.commit(KEY).unwrap();
        assert!(holds.commit(KEY).is_err());
        holds.end(KEY);
        holds.make(KEY, made()).unwrap();
    }

    #[test]
    fn so_is_one_of_an_earlier_batch() {
        let mut holds = Holds::default();
        holds.commit(KEY).unwrap();
        assert!(holds.commit(KEY).is_err());
        assert!(holds.make(KEY, made()).is_err());
        holds.end(KEY);
        assert!(holds.commit(KEY).is_err());
        holds.make(KEY, made()).unwrap();
        holds.commit(KEY).unwrap();
        holds.end(KEY);
        assert!(holds.commit(KEY).is_err());
    }
}
