//! What axum's extractors refuse, said as a problem.

use axum::{
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::StatusCode,
};

use super::{
    BODY_TOO_LARGE, INTERNAL, INVALID_REQUEST, MALFORMED_JSON, METHOD_NOT_ALLOWED, NOT_FOUND, Problem,
    ProblemType, TIMED_OUT, UNAVAILABLE, UNSUPPORTED_MEDIA_TYPE,
};

/// The kind that fits a bare status. A status that we never choose ourselves is the server's fault, or
/// the request's, by its class.
pub(super) fn for_status(status: StatusCode) -> &'static ProblemType {
    match status {
        StatusCode::NOT_FOUND => &NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => &METHOD_NOT_ALLOWED,
        StatusCode::PAYLOAD_TOO_LARGE => &BODY_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &UNSUPPORTED_MEDIA_TYPE,
        StatusCode::SERVICE_UNAVAILABLE => &UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => &TIMED_OUT,
        other if other.is_client_error() => &INVALID_REQUEST,
        _ => &INTERNAL,
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::JsonSyntaxError(error) => Self::new(&MALFORMED_JSON).detail(error.body_text()),
            JsonRejection::JsonDataError(error) => Self::new(&INVALID_REQUEST).detail(error.body_text()),
            other => Self::new(for_status(other.status())),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(&INVALID_REQUEST).detail(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    /// An id that cannot be one names nothing.
    fn from(rejection: PathRejection) -> Self {
        let kind = if rejection.status().is_server_error() { &INTERNAL } else { &NOT_FOUND };
        Self::new(kind)
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(for_status(rejection.status()))
    }
}
