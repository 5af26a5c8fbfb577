//! Products: offered, priced, withdrawn.

use std::collections::BTreeSet;

use axum::{extract::State, http::StatusCode, response::Response};
use domain::catalog::{Command, Refusal};
use events::ids::Sku;
use platform::problem::{Fault, INVALID_REQUEST, NOT_FOUND, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Api,
    answer::{Done, Explain, Refusals, carried_out, done, located, problem},
    body::{Body, RequestBody, compiled_schema, digest},
    headers::{CommandHeaders, CommandParams},
    money::Price,
    path::SkuInPath,
    problems::{LISTED_OTHERWISE, PRODUCT_WITHDRAWN},
};

/// A product that is to be offered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListProduct {
    /// What the shop calls it.
    #[schema(format = "sku", min_length = 1, max_length = 64, example = "MUG-1")]
    sku: String,
    /// What customers read.
    #[schema(format = "line", max_length = 500, example = "A mug")]
    title: String,
    /// One for each currency that it is sold in.
    #[schema(min_items = 1, max_items = 165)]
    prices: Vec<Price>,
}

impl RequestBody for ListProduct {
    compiled_schema!();

    fn faults_of_sense(body: &Value) -> Vec<Fault> {
        let prices = body.pointer("/prices").and_then(Value::as_array);
        let currencies = prices.into_iter().flatten().map(|price| price.get("currency")?.as_str());
        let mut seen = BTreeSet::new();
        let repeated =
            |(_, code): &(usize, Option<&str>)| code.is_some_and(|code| !seen.insert(code.to_owned()));
        currencies
            .enumerate()
            .filter(repeated)
            .map(|(index, _)| Fault {
                pointer: format!("/prices/{index}/currency"),
                detail: "must not be the currency of another price".to_owned(),
            })
            .collect()
    }
}

/// The price in one currency, from now on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RepriceProduct {
    /// Other currencies keep theirs.
    price: Price,
}

impl RequestBody for RepriceProduct {
    compiled_schema!();
}

/// Why a product is offered no longer.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WithdrawProduct {
    /// For the people of the shop.
    #[schema(format = "line", max_length = 500)]
    reason: String,
}

impl RequestBody for WithdrawProduct {
    compiled_schema!();
}

/// Offer a product
#[utoipa::path(post, path = "/products", tag = "catalog", params(CommandParams), request_body = ListProduct,
    responses((status = 201, body = Done), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %headers.command_id()))]
pub(super) async fn list(
    State(api): State<Api>,
    headers: CommandHeaders,
    Body(body): Body<ListProduct>,
) -> Result<Response, Problem> {
    let sku: Sku =
        body.sku.parse().map_err(|_| Problem::new(&INVALID_REQUEST).fault("/sku", "must be a SKU"))?;
    let context = headers.context(None, api.clock.now(), digest("list-product", sku.as_str(), &body)?);
    let prices = body.prices.iter().map(Price::unit_price).collect::<Result<_, _>>()?;
    let command = Command::List { sku: sku.clone(), title: body.title, prices };
    let handled = api.commands.catalog.handle(sku.as_str(), command, context).await.map_err(problem)?;
    let response = carried_out(StatusCode::CREATED, handled, Done::from(handled));
    Ok(located(response, &format!("/products/{}", in_path(&sku))))
}

/// Set the price of a product in one currency
#[utoipa::path(post, path = "/products/{sku}/prices", tag = "catalog", params(("sku" = String, Path), CommandParams),
    request_body = RepriceProduct,
    responses((status = 200, body = Done), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %headers.command_id()))]
pub(super) async fn reprice(
    State(api): State<Api>,
    SkuInPath(sku): SkuInPath,
    headers: CommandHeaders,
    Body(body): Body<RepriceProduct>,
) -> Result<Response, Problem> {
    let context = headers.context(None, api.clock.now(), digest("reprice-product", sku.as_str(), &body)?);
    let command = Command::Reprice { sku: sku.clone(), price: body.price.unit_price()? };
    api.commands.catalog.handle(sku.as_str(), command, context).await.map(done).map_err(problem)
}

/// Offer a product no longer
#[utoipa::path(post, path = "/products/{sku}/withdrawal", tag = "catalog",
    params(("sku" = String, Path), CommandParams), request_body = WithdrawProduct,
    responses((status = 200, body = Done), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %headers.command_id()))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    SkuInPath(sku): SkuInPath,
    headers: CommandHeaders,
    Body(body): Body<WithdrawProduct>,
) -> Result<Response, Problem> {
    let context = headers.context(None, api.clock.now(), digest("withdraw-product", sku.as_str(), &body)?);
    let command = Command::Withdraw { sku: sku.clone(), reason: body.reason };
    api.commands.catalog.handle(sku.as_str(), command, context).await.map(done).map_err(problem)
}

/// A SKU as a segment of a path (RFC 3986: everything but the unreserved is encoded).
fn in_path(sku: &Sku) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    sku.as_str().bytes().map(encoded).collect()
}

impl Explain for Refusal {
    fn problem(&self) -> Problem {
        match self {
            Self::TitleBlank { .. } => Problem::new(&INVALID_REQUEST).fault("/title", "must not be blank"),
            Self::NoPrices { .. } => {
                Problem::new(&INVALID_REQUEST).fault("/prices", "must have at least one item")
            }
            Self::CurrencyRepeated { currency, .. } => Problem::new(&INVALID_REQUEST)
                .fault("/prices", format!("must not have two prices in {currency}")),
            Self::ListedOtherwise { sku } => Problem::new(&LISTED_OTHERWISE).with("sku", sku.as_str()),
            Self::NotListed { .. } => Problem::new(&NOT_FOUND).detail("there is no product with this SKU"),
            Self::Withdrawn { sku, .. } => Problem::new(&PRODUCT_WITHDRAWN).with("sku", sku.as_str()),
        }
    }
}
