//! Orders after the checkout: called off, or handed over for delivery. What follows from it (stock and
//! money given back, stock booked out) is done by the checkout saga.

use axum::{extract::State, response::Response};
use domain::{
    lines::Fault as LinesFault,
    order::{Command, Refusal},
};
use events::{ids::OrderId, order::CancellationReason};
use platform::problem::{INVALID_REQUEST, NOT_FOUND, Problem};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Api,
    answer::{Done, Explain, Refusals, done, problem},
    body::{Body, RequestBody, compiled_schema, digest},
    headers::{CommandHeaders, CommandParams},
    path::IdInPath,
    problems::{
        ALREADY_PLACED, ORDER_CANCELLED, ORDER_DISPATCHED, ORDER_NOT_CAPTURED, ORDER_NOT_CONFIRMED,
        ORDER_NOT_DISPATCHED, ORDER_REJECTED, TOTAL_NOT_POSITIVE, TOTAL_TOO_LARGE,
    },
};

/// Why an order is called off.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelOrder {
    /// Why.
    reason: Reason,
}

/// Why an order is called off.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CancellationReason)]
pub(super) enum Reason {
    /// The customer changed their mind.
    CustomerRequest,
    /// It looks like fraud.
    Fraud,
    /// The shop cannot or will not deliver.
    Operator,
}

impl From<Reason> for CancellationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::CustomerRequest => Self::CustomerRequest,
            Reason::Fraud => Self::Fraud,
            Reason::Operator => Self::Operator,
        }
    }
}

impl RequestBody for CancelOrder {
    compiled_schema!();
}

/// Nothing to say: an empty object.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DispatchOrder {}

impl RequestBody for DispatchOrder {
    compiled_schema!();
}

/// Call an order off
///
/// Possible until it is dispatched. Money and stock are given back afterwards; the order shows when.
#[utoipa::path(post, path = "/orders/{id}/cancellation", tag = "orders", params(("id" = Uuid, Path), CommandParams),
    request_body = CancelOrder,
    responses((status = 200, body = Done), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %id))]
pub(super) async fn cancel(
    State(api): State<Api>,
    IdInPath(id): IdInPath,
    headers: CommandHeaders,
    Body(body): Body<CancelOrder>,
) -> Result<Response, Problem> {
    let stream_id = id.to_string();
    let context = headers.context(Some(id), api.clock.now(), digest("cancel-order", &stream_id, &body)?);
    let command = Command::Cancel { reason: body.reason.into() };
    api.commands.order.handle(&stream_id, command, context).await.map(done).map_err(problem)
}

/// Hand an order over for delivery
///
/// Possible once its money is taken; until then the answer says what is missing, and asking again later
/// is safe.
#[utoipa::path(post, path = "/orders/{id}/dispatch", tag = "orders", params(("id" = Uuid, Path), CommandParams),
    request_body = DispatchOrder,
    responses((status = 200, body = Done), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %id))]
pub(super) async fn dispatch(
    State(api): State<Api>,
    IdInPath(id): IdInPath,
    headers: CommandHeaders,
    Body(body): Body<DispatchOrder>,
) -> Result<Response, Problem> {
    let stream_id = id.to_string();
    let context = headers.context(Some(id), api.clock.now(), digest("dispatch-order", &stream_id, &body)?);
    api.commands.record_dispatch(OrderId(id), context).await.map(done).map_err(problem)
}

impl Explain for Refusal {
    fn problem(&self) -> Problem {
        match self {
            Self::Lines(fault) => match fault {
                LinesFault::TotalTooLarge { .. } => Problem::new(&TOTAL_TOO_LARGE),
                LinesFault::NoLines
                | LinesFault::QuantityNotPositive { .. }
                | LinesFault::CurrencyDiffers { .. }
                | LinesFault::AmountDiffers { .. } => {
                    Problem::new(&INVALID_REQUEST).fault("/lines", fault.to_string())
                }
            },
            Self::TotalNotPositive { total } => Problem::new(&TOTAL_NOT_POSITIVE).with("total", json!(total)),
            Self::AlreadyPlaced { order_id } => {
                Problem::new(&ALREADY_PLACED).with("order_id", order_id.to_string())
            }
            Self::NotPlaced => Problem::new(&NOT_FOUND).detail("there is no order with this id"),
            Self::NotConfirmed => Problem::new(&ORDER_NOT_CONFIRMED),
            Self::NotCaptured { captured, total } => Problem::new(&ORDER_NOT_CAPTURED)
                .with("captured", json!(captured))
                .with("total", json!(total)),
            Self::NotDispatched => Problem::new(&ORDER_NOT_DISPATCHED),
            Self::AlreadyDispatched => Problem::new(&ORDER_DISPATCHED),
            Self::AlreadyRejected { reason } => Problem::new(&ORDER_REJECTED).with("reason", json!(reason)),
            Self::AlreadyCancelled { reason } => Problem::new(&ORDER_CANCELLED).with("reason", json!(reason)),
        }
    }
}
