//! Every refusal over HTTP is `application/problem+json` (RFC 9457) with a stable type, and says all
//! that is wrong with a request at once. A type's name is an interface: it is never renamed.

mod catalogue;
mod leftover;
mod net;
mod rejection;
mod types;

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use catalogue::{catalogue, problem_types_of};
pub use net::with_fallbacks;
pub use types::*;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A kind of refusal: what it is called, and what it means. Declared with [`problem_types!`](crate::problem_types).
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The last part of its URL `/problems/<name>`, in kebab case. Never changes.
    pub name: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// One short sentence, the same for every occurrence.
    pub title: &'static str,
    /// What it means and what to do about it, for the page at its URL.
    pub meaning: &'static str,
}

impl ProblemType {
    /// The URL that names this type.
    pub fn url(&self) -> String {
        format!("/problems/{}", self.name)
    }
}

/// Declares problem types as constants, and a list of them all for [`catalogue`].
///
/// ```
/// platform::problem_types! {
///     /// What this crate refuses.
///     pub const TYPES;
///
///     /// The shelf holds less than was asked for.
///     /// Ask for less, or wait until more is received.
///     INSUFFICIENT_STOCK = 409 "insufficient-stock" "There is not enough stock";
/// }
/// assert_eq!(INSUFFICIENT_STOCK.url(), "/problems/insufficient-stock");
/// assert_eq!(TYPES, &[&INSUFFICIENT_STOCK]);
/// ```
#[macro_export]
macro_rules! problem_types {
    (
        $(#[$list_doc:meta])*
        $visibility:vis const $list:ident;
        $( $(#[doc = $meaning:literal])+ $constant:ident = $status:literal $name:literal $title:literal; )+
    ) => {
        $(
            $(#[doc = $meaning])+
            $visibility static $constant: $crate::problem::ProblemType = $crate::problem::ProblemType {
                name: $name,
                status: $status,
                title: $title,
                meaning: concat!($($meaning, "\n"),+),
            };
        )+
        $(#[$list_doc])*
        $visibility static $list: &[&$crate::problem::ProblemType] = &[$(&$constant),+];
    };
}

/// One refusal, as a client gets it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URL, relative to this server, that names the kind of problem and explains it.
    #[serde(rename = "type", serialize_with = "type_url")]
    #[schema(value_type = String, example = "/problems/not-found")]
    kind: &'static ProblemType,
    /// The kind in one short sentence.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What was wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Every fault of the request, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// The numbers of the rule that was broken, by name.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<Duration>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer into the body (RFC 6901).
    #[schema(example = "/lines/0/quantity")]
    pub pointer: String,
    /// What.
    pub detail: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: &'static ProblemType) -> Self {
        Self {
            kind,
            title: kind.title,
            status: kind.status,
            detail: None,
            errors: Vec::new(),
            members: Map::new(),
            retry_after: None,
        }
    }

    /// Says what was wrong this time. Never put personal data or a secret here.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a member with a number or name of the rule that was broken.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a fault at a place in the body.
    #[must_use]
    pub fn fault(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(Fault { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Adds faults.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.errors.extend(faults);
        self
    }

    /// Says when trying again makes sense; whole seconds, at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<&'static ProblemType> for Problem {
    fn from(kind: &'static ProblemType) -> Self {
        Self::new(kind)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.retry_after.map(|wait| wait.as_secs().max(1));
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn type_url<S: Serializer>(kind: &ProblemType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("/problems/{}", kind.name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_says_its_type_numbers_and_every_fault() {
        let problem = Problem::new(&INVALID_REQUEST)
            .detail("two fields are wrong")
            .with("limit", 3)
            .fault("/lines/0/quantity", "must be positive")
            .fault("/currency", "is not a currency");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            json!({
                "type": "/problems/invalid-request",
                "title": INVALID_REQUEST.title,
                "status": 400,
                "detail": "two fields are wrong",
                "errors": [
                    {"pointer": "/lines/0/quantity", "detail": "must be positive"},
                    {"pointer": "/currency", "detail": "is not a currency"}
                ],
                "limit": 3
            })
        );
    }

    #[test]
    fn the_answer_carries_the_media_type_the_status_and_a_whole_number_of_seconds() {
        let response = Problem::new(&UNAVAILABLE).retry_after(Duration::from_millis(20)).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
