//! The query API over the read models.
//!
//! **Nothing is written here**: the database role can only read the views of schema `read`. Every
//! answer says which position of the log it reflects, read in the same snapshot as its rows.

mod answer;
mod asked;
mod attention;
mod cursor;
mod documented;
mod kept_back;
mod listing;
mod live;
mod lookup;
mod models;
mod money;
mod orders;
mod payments;
mod place;
mod products;
mod refusal;
mod resource;
mod sales;
mod stock;

pub use models::{Limits, ReadModels};
pub use refusal::TYPES as PROBLEM_TYPES;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of all queries.
pub fn router(models: ReadModels) -> Router {
    routes().with_state(models).into()
}

/// What the routes are, for documentation.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<ReadModels> {
    OpenApiRouter::new()
        .routes(routes!(products::list))
        .routes(routes!(products::one))
        .routes(routes!(orders::list))
        .routes(routes!(orders::one))
        .routes(routes!(orders::of_customer))
        .routes(routes!(live::of_order))
        .routes(routes!(live::of_all))
        .routes(routes!(stock::list))
        .routes(routes!(stock::one))
        .routes(routes!(payments::list))
        .routes(routes!(payments::one))
        .routes(routes!(sales::by_period))
        .routes(routes!(attention::list))
}
