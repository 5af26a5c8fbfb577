//! The kinds of problem that have nothing to do with commerce: what HTTP itself refuses, and what goes
//! wrong on our side.

crate::problem_types! {
    /// The kinds of problem that any part may answer with.
    pub const TYPES;

    /// There is nothing at this address, or nothing by this id.
    NOT_FOUND = 404 "not-found" "There is nothing here";

    /// The address exists, and does not take this method; the header `Allow` says which it takes.
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "This address does not take that method";

    /// The request has a part that cannot be accepted as it is. `errors` lists every fault with its place.
    INVALID_REQUEST = 400 "invalid-request" "The request is not valid";

    /// The body is not JSON. `detail` says where reading it stopped.
    MALFORMED_JSON = 400 "malformed-json" "The body is not JSON";

    /// Bodies are JSON, and must say so: send `Content-Type: application/json`.
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type" "The body must be sent as application/json";

    /// The body is longer than this server reads.
    BODY_TOO_LARGE = 413 "body-too-large" "The body is too large";

    /// The request was not answered in time. What it asked for may have been done: ask again with the
    /// same Idempotency-Key to learn the outcome.
    TIMED_OUT = 504 "timed-out" "The request was not answered in time";

    /// Something that this answer needs cannot be reached at the moment. `Retry-After` says when to try
    /// again; a command is safe to send again with the same Idempotency-Key.
    UNAVAILABLE = 503 "unavailable" "The service cannot answer just now";

    /// A fault of ours. It has been logged with the correlation id of this answer.
    INTERNAL = 500 "internal" "Something went wrong on our side";
}
