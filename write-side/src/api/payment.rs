//! Payments after the checkout: further captures, and refunds. What is asked for here is in the log
//! when the client is answered; the provider is called afterwards, and the payment shows what it said.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::payment::{Command, Refusal};
use event_store::Position;
use events::ids::{CaptureId, RefundId};
use platform::problem::{INVALID_REQUEST, NOT_FOUND, Problem};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Api,
    answer::{Explain, Refusals, carried_out, located, problem},
    body::{Body, RequestBody, compiled_schema, digest},
    headers::{CommandHeaders, CommandParams},
    money::Amount,
    path::IdInPath,
    problems::{
        CAPTURE_EXCEEDS_AUTHORIZATION, CURRENCY_DIFFERS, PAYMENT_CONFLICT, PAYMENT_DECLINED,
        PAYMENT_GIVEN_UP, PAYMENT_NOT_AUTHORIZED, REFUND_EXCEEDS_CAPTURED,
    },
};
use crate::Handled;

/// Money that is to be taken.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CapturePayment {
    /// How much.
    amount: Amount,
}

impl RequestBody for CapturePayment {
    compiled_schema!();
}

/// Money that is to be given back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundPayment {
    /// How much.
    amount: Amount,
    /// Why, as a code or a short text without personal data.
    #[schema(format = "line", max_length = 200, example = "returned")]
    reason: String,
}

impl RequestBody for RefundPayment {
    compiled_schema!();
}

/// A capture that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CaptureAccepted {
    payment_id: Uuid,
    capture_id: Uuid,
    #[schema(value_type = u64)]
    position: Position,
}

/// A refund that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RefundAccepted {
    payment_id: Uuid,
    refund_id: Uuid,
    #[schema(value_type = u64)]
    position: Position,
}

/// Take held money
#[utoipa::path(post, path = "/payments/{id}/captures", tag = "payments", params(("id" = Uuid, Path), CommandParams),
    request_body = CapturePayment,
    responses((status = 202, body = CaptureAccepted), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %id))]
pub(super) async fn capture(
    State(api): State<Api>,
    IdInPath(id): IdInPath,
    headers: CommandHeaders,
    Body(body): Body<CapturePayment>,
) -> Result<Response, Problem> {
    let capture_id = CaptureId::derived(headers.command_id(), "capture");
    let command = Command::Capture { capture_id, amount: body.amount.money()? };
    let handled =
        send(&api, id, &headers, command, digest("capture-payment", &id.to_string(), &body)?).await?;
    let body = CaptureAccepted { payment_id: id, capture_id: capture_id.0, position: handled.position };
    Ok(under_way(id, handled, body))
}

/// Give taken money back
#[utoipa::path(post, path = "/payments/{id}/refunds", tag = "payments", params(("id" = Uuid, Path), CommandParams),
    request_body = RefundPayment,
    responses((status = 202, body = RefundAccepted), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %id))]
pub(super) async fn refund(
    State(api): State<Api>,
    IdInPath(id): IdInPath,
    headers: CommandHeaders,
    Body(body): Body<RefundPayment>,
) -> Result<Response, Problem> {
    let refund_id = RefundId::derived(headers.command_id(), "refund");
    let digest = digest("refund-payment", &id.to_string(), &body)?;
    let command = Command::Refund { refund_id, amount: body.amount.money()?, reason: body.reason };
    let handled = send(&api, id, &headers, command, digest).await?;
    let body = RefundAccepted { payment_id: id, refund_id: refund_id.0, position: handled.position };
    Ok(under_way(id, handled, body))
}

/// A payment is part of the journey of its order, which has the same id.
async fn send(
    api: &Api,
    id: Uuid,
    headers: &CommandHeaders,
    command: Command,
    digest: String,
) -> Result<Handled, Problem> {
    let context = headers.context(Some(id), api.clock.now(), digest);
    api.commands.payment.handle(&id.to_string(), command, context).await.map_err(problem)
}

fn under_way(id: Uuid, handled: Handled, body: impl Serialize) -> Response {
    located(carried_out(StatusCode::ACCEPTED, handled, body), &format!("/payments/{id}"))
}

impl Explain for Refusal {
    fn problem(&self) -> Problem {
        match self {
            Self::NotRequested => Problem::new(&NOT_FOUND).detail("there is no payment with this id"),
            Self::AmountNotPositive { .. } => {
                Problem::new(&INVALID_REQUEST).fault("/amount/amount", "must be at least 1")
            }
            Self::CurrencyDiffers { expected, given } => {
                Problem::new(&CURRENCY_DIFFERS).with("expected", expected.code()).with("given", given.code())
            }
            Self::NotAuthorized => Problem::new(&PAYMENT_NOT_AUTHORIZED),
            Self::Declined => Problem::new(&PAYMENT_DECLINED),
            Self::GivenUp => Problem::new(&PAYMENT_GIVEN_UP),
            Self::CaptureExceedsAuthorization { authorized, captured, requested } => {
                Problem::new(&CAPTURE_EXCEEDS_AUTHORIZATION)
                    .with("authorized", json!(authorized))
                    .with("captured", json!(captured))
                    .with("requested", json!(requested))
            }
            Self::RefundExceedsCaptured { captured, refunded, requested } => {
                Problem::new(&REFUND_EXCEEDS_CAPTURED)
                    .with("captured", json!(captured))
                    .with("refunded", json!(refunded))
                    .with("requested", json!(requested))
            }
            Self::RequestedOtherwise { .. }
            | Self::CaptureDiffers { .. }
            | Self::VoidAfterCapture { .. }
            | Self::RefundDiffers { .. }
            | Self::NeverAsked { .. } => Problem::new(&PAYMENT_CONFLICT).detail(self.to_string()),
        }
    }
}
