//! What queries have in common, for the description of the API: the parameters about pages, freshness
//! and caching that [`Asked`](crate::asked::Asked) reads, and the refusals that any query may answer.
//! Nothing here is made at run time; the description is all that these types are for.
#![allow(dead_code, reason = "what is documented here is read and answered elsewhere")]

use platform::problem::Problem;
use utoipa::{IntoParams, IntoResponses};

/// How fresh the answer must be.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Freshness {
    /// the position to reflect at least
    #[param(rename = "Counterfoil-At-Least")]
    at_least: Option<u64>,
    /// `wait=<seconds>`: wait for that position
    #[param(rename = "Prefer")]
    prefer: Option<String>,
}

/// What the client has already.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Cached {
    /// the `ETag` of an earlier answer
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// 1 to 200; 50 when absent
    limit: Option<u16>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

/// What a list is refused with.
#[derive(IntoResponses)]
pub(crate) enum ListRefused {
    /// every fault of the request
    #[response(status = 400)]
    Faulty(Problem),
    /// not fresh enough, or unavailable
    #[response(status = 503)]
    NotNow(Problem),
}

/// What is answered about one resource when the resource is not.
#[derive(IntoResponses)]
pub(crate) enum NotShown {
    /// it is what the client has
    #[response(status = 304)]
    NotModified,
    /// not fresh enough, or unavailable
    #[response(status = 503)]
    NotNow(Problem),
}
