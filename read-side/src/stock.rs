//! `GET /stock` and `GET /stock/{sku}`.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::stock::StockRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Page,
    asked::Asked,
    cursor::KeyOf,
    documented::{Cached, Freshness, ListRefused, NotShown, Paging},
    listing::{Listing, Sort},
    models::ReadModels,
    products::storable,
    resource::{self, Resource, Shown},
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

impl Shown for Stock {
    type Row = StockRow;
    const PROJECTION: &'static str = "stock";
    const TABLE: &'static str = "stock";
    const COLUMNS: &'static str = StockRow::COLUMNS;
}

impl Resource for Stock {
    const NAME: &'static str = "stock";
    const IS_ASKED_FOR: &'static str = "sku = asked.id";

    fn tag(row: &StockRow) -> String {
        row.revision.to_string()
    }
}

static BY_SKU: Sort<StockRow> =
    Sort { name: "sku", columns: &["sku"], key: KeyOf::Name(|row| row.sku.clone()) };

/// Stock, in the order of the SKUs.
#[utoipa::path(get, path = "/stock", tag = "stock",
    params(Paging, Freshness),
    responses(
        (status = 200, body = Page<Stock>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        ListRefused,
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    Listing::<Stock>::new(&BY_SKU, &mut asked).answer(&models, asked).await
}

/// The stock of one SKU.
#[utoipa::path(get, path = "/stock/{sku}", tag = "stock",
    params(
        ("sku" = String, Path, description = "the SKU"),
        Cached, Freshness,
    ),
    responses(
        (status = 200, body = Stock, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revision of the stock"))),
        (status = 404, body = Problem, description = "nothing of this SKU was ever received"),
        NotShown,
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    sku: Result<Path<String>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(sku) = sku?;
    resource::answer::<Stock>(&models, storable(sku)?, asked).await
}
