//! `GET /products` and `GET /products/{sku}`.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::catalog::ProductRow;
use serde::Serialize;
use sqlx::QueryBuilder;
use utoipa::ToSchema;

use crate::{
    answer::{self, Page},
    asked::{Asked, one_of},
    cursor::{Key, Window},
    models::ReadModels,
    money::UnitPrice,
    refusal,
};

/// A product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Product {
    sku: String,
    title: String,
    /// `listed` or `withdrawn`.
    status: String,
    /// One per currency.
    prices: Vec<UnitPrice>,
    revision: i64,
    listed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<ProductRow> for Product {
    fn from(row: ProductRow) -> Self {
        let price = |price: projections::catalog::Price| {
            UnitPrice::from_thousandths(price.thousandths, &price.currency)
        };
        Self {
            sku: row.sku,
            title: row.title,
            status: row.status,
            prices: row.prices.0.into_iter().map(price).collect(),
            revision: row.revision,
            listed_at: row.listed_at,
            updated_at: row.updated_at,
        }
    }
}

const SORT: &str = "sku";

/// Products, in the order of their SKUs.
#[utoipa::path(get, path = "/products", tag = "catalog",
    params(
        ("status" = Option<String>, Query, description = "`listed` or `withdrawn`"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Page<Product>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        (status = 400, body = Problem, description = "every fault of the request"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let status = asked.parameter("status", one_of(&["listed", "withdrawn"]));
    let window = Window::of(&mut asked, SORT);
    let conditions = asked.finish()?;
    let mut query = QueryBuilder::new("select ");
    query.push(ProductRow::COLUMNS).push(" from read.products where true");
    if let Some(status) = status {
        query.push(" and status = ").push_bind(status);
    }
    if let Some(Key::Name(sku)) = &window.after {
        query.push(" and sku > ").push_bind(sku);
    }
    query.push(" order by sku limit ").push_bind(window.limit + 1);
    let mut snapshot = models.snapshot("catalog", &conditions).await?;
    let mut rows: Vec<ProductRow> =
        query.build_query_as().fetch_all(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let next_cursor = window.close(&mut rows, SORT, |row| Key::Name(row.sku.clone()));
    let page = Page { items: rows.into_iter().map(Product::from).collect(), next_cursor };
    Ok(answer::rows(&conditions, snapshot.position, &page))
}

/// One product.
#[utoipa::path(get, path = "/products/{sku}", tag = "catalog",
    params(
        ("sku" = String, Path, description = "what the shop calls it"),
        ("If-None-Match" = Option<String>, Header, description = "the `ETag` of an earlier answer"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Product, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revision of the product"))),
        (status = 304, description = "it is what the client has"),
        (status = 404, body = Problem, description = "there is no such product"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    sku: Result<Path<String>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(sku) = sku?;
    let conditions = asked.finish()?;
    let mut snapshot = models.snapshot("catalog", &conditions).await?;
    let mut query = QueryBuilder::new("select ");
    query.push(ProductRow::COLUMNS).push(" from read.products where sku = ").push_bind(storable(&sku)?);
    let row: Option<ProductRow> =
        query.build_query_as().fetch_optional(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let row = row.ok_or_else(|| refusal::not_found("product"))?;
    let tag = row.revision.to_string();
    Ok(answer::resource(&conditions, snapshot.position, &tag, &Product::from(row)))
}

/// A SKU that could be in the database: text with a zero byte could not, and names nothing.
pub(crate) fn storable(sku: &str) -> Result<&str, Problem> {
    if sku.contains('\0') {
        return Err(refusal::not_found("SKU"));
    }
    Ok(sku)
}
