//! The headers of a command. `Idempotency-Key` names what is wanted, and from it follows the command's
//! id: the same key, the same command, for as long as the log is kept.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use chrono::{DateTime, Utc};
use events::{Actor, ids::OrderId};
use platform::{problem::Problem, telemetry::Traceparent};
use utoipa::IntoParams;
use uuid::{Uuid, uuid};

use super::problems::{IDEMPOTENCY_KEY_INVALID, IDEMPOTENCY_KEY_MISSING, IF_MATCH_INVALID, REVISION_DIFFERS};
use crate::CommandContext;

/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 200;
/// What command ids are derived in.
const COMMANDS: Uuid = uuid!("6b0f4b0e-2f0a-5d1c-9c3d-6f1c5a1e7d01");
/// What the ids of orders are derived in.
const ORDERS: Uuid = uuid!("6b0f4b0e-2f0a-5d1c-9c3d-6f1c5a1e7d02");

/// What the headers say of a command.
#[derive(Debug)]
pub(super) struct CommandHeaders {
    key: String,
    expected_revision: Option<u64>,
    traceparent: Option<String>,
}

/// The headers of a command, as the documentation shows them.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes headers that are read by hand")]
pub(super) struct CommandParams {
    /// Chosen by the client once for each thing wanted; a repeat carries the same.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 200)]
    idempotency_key: String,
    /// The `ETag` of what the client has seen; with another revision nothing is done.
    #[param(rename = "If-Match", example = "\"3\"")]
    if_match: Option<String>,
    /// W3C trace context; kept with the events.
    traceparent: Option<String>,
}

impl CommandHeaders {
    /// The id of an order that is made with this key.
    pub(super) fn order_id(&self) -> OrderId {
        OrderId::derived(ORDERS, &self.key)
    }

    /// The id of the command.
    pub(super) fn command_id(&self) -> Uuid {
        Uuid::new_v5(&COMMANDS, self.key.as_bytes())
    }

    /// The context of the command: part of the journey of `correlation_id`, or a journey of its own.
    pub(super) fn context(
        &self,
        correlation_id: Option<Uuid>,
        occurred_at: DateTime<Utc>,
        request_digest: String,
    ) -> CommandContext {
        let command_id = self.command_id();
        CommandContext {
            command_id,
            correlation_id: correlation_id.unwrap_or(command_id),
            causation_id: command_id,
            actor: Actor::Client,
            occurred_at,
            request_digest: Some(request_digest),
            traceparent: self.traceparent.clone(),
            expected_revision: self.expected_revision,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self {
            key: idempotency_key(&parts.headers)?,
            expected_revision: expected_revision(&parts.headers)?,
            traceparent: traceparent(&parts.headers),
        })
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        let kind = if headers.contains_key("idempotency-key") {
            &IDEMPOTENCY_KEY_INVALID
        } else {
            &IDEMPOTENCY_KEY_MISSING
        };
        return Err(Problem::new(kind));
    };
    let key = value.to_str().map(str::trim).unwrap_or_default();
    if key.is_empty() || key.len() > KEY_CHARS_MAX {
        return Err(Problem::new(&IDEMPOTENCY_KEY_INVALID)
            .detail(format!("it must have 1 to {KEY_CHARS_MAX} visible ASCII characters")));
    }
    Ok(key.to_owned())
}

/// The revision that `If-Match` insists on. The tag of an order that was read goes on, after a hyphen,
/// with the revision of its payment: a command on the order does not insist on that. A tag that no answer
/// of ours can have given (RFC 9110, 13.1.1: a weak one never matches) fails the condition; several at
/// once are not understood.
fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let tag = value.to_str().map(str::trim).unwrap_or_default();
    if values.next().is_some() || tag.contains(',') || tag == "*" {
        return Err(Problem::new(&IF_MATCH_INVALID).detail("it must be a single entity tag"));
    }
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let revision = tag.and_then(|tag| tag.split('-').next()).and_then(|revision| revision.parse().ok());
    revision.map(Some).ok_or_else(|| Problem::new(&REVISION_DIFFERS))
}

/// The trace context, where it is one (W3C Trace Context); otherwise as if there were none.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let trace: Traceparent = headers.get("traceparent")?.to_str().ok()?.parse().ok()?;
    Some(trace.to_string())
}
