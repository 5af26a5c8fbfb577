//! An answer: JSON with the position that it reflects, and for a single resource the tag of its
//! revision.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use projections::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Conditions;

/// The position of the log that an answer reflects.
pub(crate) const POSITION: &str = "counterfoil-position";

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The rows, in the order that was asked for.
    pub(crate) items: Vec<T>,
    /// What to give as `cursor` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// The answer to a query whose rows reflect `position`.
pub(crate) fn rows<T: Serialize>(conditions: &Conditions, position: Position, body: &T) -> Response {
    let mut response = axum::Json(body).into_response();
    describe(&mut response, conditions, position);
    response
}

/// The answer about one resource at a revision; 304 when the client has it already.
pub(crate) fn resource<T: Serialize>(
    conditions: &Conditions,
    position: Position,
    tag: &str,
    body: &T,
) -> Response {
    let tag = format!("\"{tag}\"");
    let known = conditions.if_none_match.as_deref().is_some_and(|tags| matches(tags, &tag));
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { axum::Json(body).into_response() };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    describe(&mut response, conditions, position);
    response
}

/// Whether one of the tags of an `If-None-Match` is this one; compared weakly (RFC 9110, 13.1.2).
fn matches(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|given| given == "*" || given.trim_start_matches("W/") == tag)
}

/// Says which position an answer reflects, and that it waited where it was asked to.
pub(crate) fn describe(response: &mut Response, conditions: &Conditions, position: Position) {
    let headers = response.headers_mut();
    if let Ok(position) = HeaderValue::try_from(position.to_string()) {
        headers.insert(POSITION, position);
    }
    // Anybody may keep a copy, but must ask whether it is still right.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if conditions.waits && conditions.at_least.is_some() {
        headers.insert("preference-applied", HeaderValue::from_static("wait"));
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_tag_is_found_among_several_weak_or_strong() {
        assert!(matches("\"1\", W/\"2\"", "\"2\""));
        assert!(matches("*", "\"2\""));
        assert!(!matches("\"12\"", "\"2\""));
    }
}
