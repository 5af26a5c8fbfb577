//! `GET /stock` and `GET /stock/{sku}`.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::stock::StockRow;
use serde::Serialize;
use sqlx::QueryBuilder;
use utoipa::ToSchema;

use crate::{
    answer::{self, Page},
    asked::Asked,
    cursor::{Key, Window},
    models::ReadModels,
    products::storable,
    refusal,
};

/// The stock of a SKU. All numbers are units;
/// `available = received + adjusted - reserved - committed - dispatched`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stock {
    sku: String,
    /// Came in.
    received: i64,
    /// Found or, negative, lost by counts.
    adjusted: i64,
    /// Held for checkouts that are under way.
    reserved: i64,
    /// Sold, and still in the house.
    committed: i64,
    /// Left the house.
    dispatched: i64,
    /// Free to be sold.
    available: i64,
    revision: i64,
    updated_at: DateTime<Utc>,
}

impl From<StockRow> for Stock {
    fn from(row: StockRow) -> Self {
        Self {
            sku: row.sku,
            received: row.received,
            adjusted: row.adjusted,
            reserved: row.reserved,
            committed: row.committed,
            dispatched: row.dispatched,
            available: row.available,
            revision: row.revision,
            updated_at: row.updated_at,
        }
    }
}

const SORT: &str = "sku";

/// Stock, in the order of the SKUs.
#[utoipa::path(get, path = "/stock", tag = "stock",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Page<Stock>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        (status = 400, body = Problem, description = "every fault of the request"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let window = Window::of(&mut asked, SORT);
    let conditions = asked.finish()?;
    let mut query = QueryBuilder::new("select ");
    query.push(StockRow::COLUMNS).push(" from read.stock where true");
    if let Some(Key::Name(sku)) = &window.after {
        query.push(" and sku > ").push_bind(sku);
    }
    query.push(" order by sku limit ").push_bind(window.limit + 1);
    let mut snapshot = models.snapshot("stock", &conditions).await?;
    let mut rows: Vec<StockRow> =
        query.build_query_as().fetch_all(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let next_cursor = window.close(&mut rows, SORT, |row| Key::Name(row.sku.clone()));
    let page = Page { items: rows.into_iter().map(Stock::from).collect(), next_cursor };
    Ok(answer::rows(&conditions, snapshot.position, &page))
}

/// The stock of one SKU.
#[utoipa::path(get, path = "/stock/{sku}", tag = "stock",
    params(
        ("sku" = String, Path, description = "the SKU"),
        ("If-None-Match" = Option<String>, Header, description = "the `ETag` of an earlier answer"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Stock, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revision of the stock"))),
        (status = 304, description = "it is what the client has"),
        (status = 404, body = Problem, description = "nothing of this SKU was ever received"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    sku: Result<Path<String>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(sku) = sku?;
    let conditions = asked.finish()?;
    let mut snapshot = models.snapshot("stock", &conditions).await?;
    let mut query = QueryBuilder::new("select ");
    query.push(StockRow::COLUMNS).push(" from read.stock where sku = ").push_bind(storable(&sku)?);
    let row: Option<StockRow> =
        query.build_query_as().fetch_optional(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let row = row.ok_or_else(|| refusal::not_found("stock"))?;
    let tag = row.revision.to_string();
    Ok(answer::resource(&conditions, snapshot.position, &tag, &Stock::from(row)))
}
