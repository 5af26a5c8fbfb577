//! `GET /products` and `GET /products/{sku}`.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::catalog::ProductRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Page,
    asked::{Asked, one_of},
    cursor::KeyOf,
    documented::{Cached, Freshness, ListRefused, NotShown, Paging},
    listing::{Listing, Sort},
    models::ReadModels,
    money::UnitPrice,
    refusal,
    resource::{self, Resource, Shown},
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

impl Shown for Product {
    type Row = ProductRow;
    const PROJECTION: &'static str = "catalog";
    const TABLE: &'static str = "products";
    const COLUMNS: &'static str = ProductRow::COLUMNS;
}

impl Resource for Product {
    const NAME: &'static str = "product";
    const IS_ASKED_FOR: &'static str = "sku = asked.id";

    fn tag(row: &ProductRow) -> String {
        row.revision.to_string()
    }
}

static BY_SKU: Sort<ProductRow> =
    Sort { name: "sku", columns: &["sku"], key: KeyOf::Name(|row| row.sku.clone()) };

/// Products, in the order of their SKUs.
#[utoipa::path(get, path = "/products", tag = "catalog",
    params(
        ("status" = Option<String>, Query, description = "`listed` or `withdrawn`"),
        Paging, Freshness,
    ),
    responses(
        (status = 200, body = Page<Product>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        ListRefused,
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let status = asked.parameter("status", one_of(&["listed", "withdrawn"]));
    Listing::<Product>::new(&BY_SKU, &mut asked).only_if("status =", status).answer(&models, asked).await
}

/// One product.
#[utoipa::path(get, path = "/products/{sku}", tag = "catalog",
    params(
        ("sku" = String, Path, description = "what the shop calls it"),
        Cached, Freshness,
    ),
    responses(
        (status = 200, body = Product, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revision of the product"))),
        (status = 404, body = Problem, description = "there is no such product"),
        NotShown,
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    sku: Result<Path<String>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(sku) = sku?;
    resource::answer::<Product>(&models, storable(sku)?, asked).await
}

/// A SKU that could be in the database: text with a zero byte could not, and names nothing.
pub(crate) fn storable(sku: String) -> Result<String, Problem> {
    if sku.contains('\0') {
        return Err(refusal::not_found("SKU"));
    }
    Ok(sku)
}
