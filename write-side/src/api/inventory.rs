//! Stock: units come in, and counts and losses change what is there. Holding units for orders is not
//! the business of clients, but of the checkout.

use axum::{extract::State, response::Response};
use domain::inventory::{Command, Refusal};
use events::ids::Sku;
use platform::problem::{Fault, INVALID_REQUEST, NOT_FOUND, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Api,
    answer::{Done, Explain, Refusals, done, problem, unreadable},
    body::{Body, RequestBody, compiled_schema, digest},
    headers::{CommandHeaders, CommandParams},
    path::SkuInPath,
    problems::{ADJUSTS_BELOW_RESERVED, INSUFFICIENT_STOCK, RESERVATION_CONFLICT, STOCK_TOO_LARGE},
};

/// Units that came in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiveStock {
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    quantity: i64,
    /// The paper that they came with.
    #[schema(format = "line", max_length = 200, example = "delivery note 4711")]
    reference: String,
}

impl RequestBody for ReceiveStock {
    compiled_schema!();
}

/// A change by a count or a loss.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdjustStock {
    /// Units, positive when found, negative when lost; not zero.
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000)]
    delta: i64,
    /// Why.
    #[schema(format = "line", max_length = 500, example = "broken in the warehouse")]
    reason: String,
}

impl RequestBody for AdjustStock {
    compiled_schema!();

    fn faults_of_sense(body: &Value) -> Vec<Fault> {
        let is_zero = body.get("delta").and_then(Value::as_i64) == Some(0);
        let fault = Fault { pointer: "/delta".to_owned(), detail: "must not be zero".to_owned() };
        is_zero.then_some(fault).into_iter().collect()
    }
}

/// Take units in
#[utoipa::path(post, path = "/stock/{sku}/receipts", tag = "stock", params(("sku" = String, Path), CommandParams),
    request_body = ReceiveStock,
    responses((status = 200, body = Done), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %headers.command_id()))]
pub(super) async fn receive(
    State(api): State<Api>,
    SkuInPath(sku): SkuInPath,
    headers: CommandHeaders,
    Body(body): Body<ReceiveStock>,
) -> Result<Response, Problem> {
    must_be_known(&api, &sku).await?;
    let context = headers.context(None, api.clock.now(), digest("receive-stock", sku.as_str(), &body)?);
    let command = Command::Receive { sku: sku.clone(), quantity: body.quantity, reference: body.reference };
    api.commands.inventory.handle(sku.as_str(), command, context).await.map(done).map_err(problem)
}

/// Correct what is there
#[utoipa::path(post, path = "/stock/{sku}/adjustments", tag = "stock",
    params(("sku" = String, Path), CommandParams), request_body = AdjustStock,
    responses((status = 200, body = Done), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %headers.command_id()))]
pub(super) async fn adjust(
    State(api): State<Api>,
    SkuInPath(sku): SkuInPath,
    headers: CommandHeaders,
    Body(body): Body<AdjustStock>,
) -> Result<Response, Problem> {
    must_be_known(&api, &sku).await?;
    let context = headers.context(None, api.clock.now(), digest("adjust-stock", sku.as_str(), &body)?);
    let command = Command::Adjust { sku: sku.clone(), delta: body.delta, reason: body.reason };
    api.commands.inventory.handle(sku.as_str(), command, context).await.map(done).map_err(problem)
}

/// Refuses stock of what was never a product: a SKU that was mistyped must not become a stream. A
/// product that is withdrawn still has stock to count.
async fn must_be_known(api: &Api, sku: &Sku) -> Result<(), Problem> {
    let (_, revision) = api.commands.catalog.load(sku.as_str()).await.map_err(unreadable)?;
    revision.map(|_| ()).ok_or_else(|| Problem::new(&NOT_FOUND).detail("there is no product with this SKU"))
}

impl Explain for Refusal {
    fn problem(&self) -> Problem {
        match self {
            Self::QuantityNotPositive { .. } => {
                Problem::new(&INVALID_REQUEST).fault("/quantity", "must be at least 1")
            }
            Self::DeltaIsZero { .. } => Problem::new(&INVALID_REQUEST).fault("/delta", "must not be zero"),
            Self::StockTooLarge { on_hand, delta, .. } => {
                Problem::new(&STOCK_TOO_LARGE).with("on_hand", *on_hand).with("delta", *delta)
            }
            Self::AdjustsBelowReserved { on_hand, reserved, delta, .. } => {
                Problem::new(&ADJUSTS_BELOW_RESERVED)
                    .with("on_hand", *on_hand)
                    .with("reserved", *reserved)
                    .with("delta", *delta)
            }
            Self::InsufficientStock { requested, available, .. } => {
                Problem::new(&INSUFFICIENT_STOCK).with("requested", *requested).with("available", *available)
            }
            Self::ReservedOtherwise { .. }
            | Self::NoSuchReservation { .. }
            | Self::NotYetExpired { .. }
            | Self::CommittedDoesNotExpire { .. } => {
                Problem::new(&RESERVATION_CONFLICT).detail(self.to_string())
            }
        }
    }
}
