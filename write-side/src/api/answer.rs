//! What a client is told: where its command is in the log, or why it was not carried out. A refusal is
//! the client's business and not an error of ours; what is ours is logged here, once, with its reason,
//! and the client gets only its kind.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use event_store::{Position, StoreError};
use platform::problem::{INTERNAL, MEDIA_TYPE, Problem, UNAVAILABLE};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder},
};

use super::problems::{CANNOT_BE_KEPT, CONTENDED, IDEMPOTENCY_KEY_REUSED, NEWER_RELEASE, REVISION_DIFFERS};
use crate::{HandleError, Handled, LoadError};

const POSITION: HeaderName = HeaderName::from_static("counterfoil-position");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// When a store that could not be reached may be reached again.
pub(super) const OUTAGE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where a command is in the log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// The revision of what was changed; also in the header `ETag`.
    revision: Option<u64>,
    /// The position in the log; also in the header `Counterfoil-Position`. A read that sends it as
    /// `Counterfoil-At-Least` sees this command.
    #[schema(value_type = u64)]
    position: Position,
}

impl From<Handled> for Done {
    fn from(handled: Handled) -> Self {
        Self { revision: handled.revision, position: handled.position }
    }
}

/// The answer to a command that was carried out, without anything to add.
pub(super) fn done(handled: Handled) -> Response {
    carried_out(StatusCode::OK, handled, Done::from(handled))
}

/// The answer to a command that was carried out.
pub(super) fn carried_out(status: StatusCode, handled: Handled, body: impl Serialize) -> Response {
    tracing::info!(position = %handled.position, replayed = handled.replayed, "a command was carried out");
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    if let Ok(position) = HeaderValue::try_from(handled.position.to_string()) {
        headers.insert(POSITION, position);
    }
    if let Some(tag) =
        handled.revision.and_then(|revision| HeaderValue::try_from(format!("\"{revision}\"")).ok())
    {
        headers.insert(header::ETAG, tag);
    }
    if handled.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Sets where what was made can be read.
pub(super) fn located(mut response: Response, path: &str) -> Response {
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    response
}

/// The answers that every command may get instead, for the documentation.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let refusal = |description: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build()
        };
        BTreeMap::from([
            ("4XX".to_owned(), refusal("Refused; nothing was done").into()),
            ("503".to_owned(), refusal("Not now; safe to send again with the same key").into()),
        ])
    }
}

/// A refusal of some context, as a problem.
pub(super) trait Explain: std::error::Error + 'static {
    /// The type of the problem, with the numbers of the rule.
    fn problem(&self) -> Problem;
}

/// Why a command was not carried out, as a problem.
pub(super) fn problem<R: Explain>(error: HandleError<R>) -> Problem {
    match error {
        HandleError::Refused(refusal) => refusal.problem(),
        HandleError::RequestDiffers => Problem::new(&IDEMPOTENCY_KEY_REUSED),
        HandleError::RevisionMismatch { expected, current } => Problem::new(&REVISION_DIFFERS)
            .with("expected_revision", expected)
            .with("current_revision", current),
        HandleError::Contended { attempts } => {
            tracing::warn!(attempts, "a command gave way to others at every attempt");
            Problem::new(&CONTENDED).with("attempts", attempts).retry_after(OUTAGE_RETRY_AFTER)
        }
        HandleError::Unkeepable(error) => {
            tracing::warn!(%error, "a command leads to more than the store takes");
            Problem::new(&CANNOT_BE_KEPT)
        }
        HandleError::Corrupt(error) => unreadable(LoadError::History(error)),
        HandleError::Store(error) => unreadable(LoadError::Store(error)),
    }
}

/// Why what a command depends on could not be read, as a problem.
pub(super) fn unreadable(error: LoadError) -> Problem {
    match error {
        LoadError::Store(error @ StoreError::Unavailable { .. }) => {
            tracing::warn!(%error, "a command cannot be carried out now");
            Problem::new(&UNAVAILABLE).retry_after(OUTAGE_RETRY_AFTER)
        }
        LoadError::History(error) if error.is_of_newer_release() => {
            tracing::warn!(%error, "a command cannot be decided by this release");
            Problem::new(&NEWER_RELEASE).retry_after(OUTAGE_RETRY_AFTER)
        }
        LoadError::Store(StoreError::Corrupt { .. }) | LoadError::History(_) => {
            tracing::error!(%error, "a command cannot be decided");
            Problem::new(&INTERNAL)
        }
    }
}
