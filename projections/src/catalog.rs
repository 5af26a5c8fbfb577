//! The read model of the catalog: products with their prices.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Category, UnitPrice, catalog::CatalogEvent};
use serde::Deserialize;
use sqlx::{PgConnection, types::Json};

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View};

/// Products and prices.
#[derive(Debug)]
pub struct Catalog;

static DEFINITION: Definition = Definition {
    name: "catalog",
    version: 1,
    categories: &[Category::Catalog],
    names: &[],
    tables: &[Table { name: "products", key: "sku" }, Table { name: "prices", key: "sku, currency" }],
    create: include_str!("catalog/tables.sql"),
    indexes: "",
    views: &[View {
        name: "products",
        query: "select sku, title, status, revision, listed_at, updated_at,
                    (select coalesce(jsonb_agg(jsonb_build_object(
                            'currency', currency, 'thousandths', thousandths) order by currency), '[]')
                     from prices where prices.sku = products.sku) as prices
                from products",
    }],
    kept_whole: None,
};

/// A row of `read.products`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ProductRow {
    /// What the shop calls it.
    pub sku: String,
    /// What customers read.
    pub title: String,
    /// `listed` or `withdrawn`.
    pub status: String,
    /// The revision of its stream.
    pub revision: i64,
    /// When it was listed last.
    pub listed_at: DateTime<Utc>,
    /// When anything changed last.
    pub updated_at: DateTime<Utc>,
    /// One price per currency, in the order of the currencies.
    pub prices: Json<Vec<Price>>,
}

impl ProductRow {
    /// Its columns, for a select.
    pub const COLUMNS: &'static str = "sku, title, status, revision, listed_at, updated_at, prices";
}

/// A price as a read model keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Price {
    /// ISO 4217.
    pub currency: String,
    /// Thousandths of a minor unit.
    pub thousandths: i64,
}

/// What a batch does to one product.
#[derive(Default)]
struct Change<'a> {
    listed: Option<(&'a str, DateTime<Utc>)>,
    withdrawn: bool,
    prices: BTreeMap<&'a str, i64>,
    revision: i64,
    at: DateTime<Utc>,
}

impl Change<'_> {
    fn set_price(&mut self, price: &UnitPrice) {
        self.prices.insert(price.currency().code(), price.thousandths());
    }
}

#[async_trait]
impl Projector for Catalog {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        let changes = fold(facts);
        write_listed(&changes, db).await?;
        write_changed(&changes, db).await?;
        write_prices(&changes, db).await
    }
}

fn fold<'a>(facts: &[&'a Fact]) -> BTreeMap<&'a str, Change<'a>> {
    let mut changes: BTreeMap<&str, Change<'_>> = BTreeMap::new();
    for fact in facts {
        let Event::Catalog(event) = &fact.event else { continue };
        let sku = match event {
            CatalogEvent::Listed(event) => &event.sku,
            CatalogEvent::Repriced(event) => &event.sku,
            CatalogEvent::Withdrawn(event) => &event.sku,
        };
        let change = changes.entry(sku.as_str()).or_default();
        (change.revision, change.at) = (fact.revision, fact.occurred_at);
        match event {
            CatalogEvent::Listed(event) => {
                change.listed = Some((&event.title, fact.occurred_at));
                change.withdrawn = false;
                change.prices.clear();
                event.prices.iter().for_each(|price| change.set_price(price));
            }
            CatalogEvent::Repriced(event) => change.set_price(&event.price),
            CatalogEvent::Withdrawn(_) => change.withdrawn = true,
        }
    }
    changes
}

/// Products that the batch lists, again or for the first time; what else happened to them follows.
async fn write_listed(changes: &BTreeMap<&str, Change<'_>>, db: &mut PgConnection) -> Result<(), ApplyError> {
    let (mut skus, mut titles, mut listed_at) = (Vec::new(), Vec::new(), Vec::new());
    for (sku, change) in changes {
        if let Some((title, at)) = change.listed {
            skus.push(*sku);
            titles.push(title);
            listed_at.push(at);
        }
    }
    sqlx::query(
        "insert into products (sku, title, status, revision, listed_at, updated_at)
         select sku, title, 'listed', 0, listed_at, listed_at
         from unnest($1::text[], $2::text[], $3::timestamptz[]) as listed (sku, title, listed_at)
         on conflict (sku) do update
             set title = excluded.title, status = 'listed', listed_at = excluded.listed_at",
    )
    .bind(&skus)
    .bind(titles)
    .bind(listed_at)
    .execute(&mut *db)
    .await?;
    // A listing names all prices that count.
    sqlx::query("delete from prices where sku = any($1::text[])").bind(skus).execute(db).await?;
    Ok(())
}

async fn write_changed(
    changes: &BTreeMap<&str, Change<'_>>,
    db: &mut PgConnection,
) -> Result<(), ApplyError> {
    let skus: Vec<&str> = changes.keys().copied().collect();
    let withdrawn: Vec<bool> = changes.values().map(|change| change.withdrawn).collect();
    let revisions: Vec<i64> = changes.values().map(|change| change.revision).collect();
    let at: Vec<DateTime<Utc>> = changes.values().map(|change| change.at).collect();
    let done = sqlx::query(
        "update products
         set status = case when change.withdrawn then 'withdrawn' else products.status end,
             revision = change.revision, updated_at = change.at
         from unnest($1::text[], $2::boolean[], $3::bigint[], $4::timestamptz[])
             as change (sku, withdrawn, revision, at)
         where products.sku = change.sku",
    )
    .bind(skus)
    .bind(withdrawn)
    .bind(revisions)
    .bind(at)
    .execute(db)
    .await?;
    ApplyError::unless_all("products", changes.len(), &done)
}

async fn write_prices(changes: &BTreeMap<&str, Change<'_>>, db: &mut PgConnection) -> Result<(), ApplyError> {
    let (mut skus, mut currencies, mut thousandths) = (Vec::new(), Vec::new(), Vec::new());
    let distinct: BTreeSet<(&str, &str, i64)> = changes
        .iter()
        .flat_map(|(sku, change)| change.prices.iter().map(|(currency, price)| (*sku, *currency, *price)))
        .collect();
    for (sku, currency, price) in distinct {
        skus.push(sku);
        currencies.push(currency);
        thousandths.push(price);
    }
    sqlx::query(
        "insert into prices (sku, currency, thousandths)
         select * from unnest($1::text[], $2::text[], $3::bigint[])
         on conflict (sku, currency) do update set thousandths = excluded.thousandths",
    )
    .bind(skus)
    .bind(currencies)
    .bind(thousandths)
    .execute(db)
    .await?;
    Ok(())
}
