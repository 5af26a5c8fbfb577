//! Every request runs inside a span with an id of its own, and its answer carries that id. Who calls with a
//! trace or a request id keeps it; who comes without gets one. What follows from a command (events, and what
//! the coordinator logs) is found by the correlation id of the command, an order's own id, which is logged
//! beside the request's. Queries and bodies are never logged, and of the path only the route.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;
use uuid::Uuid;

use super::Traceparent;

/// The id that an answer and the log lines of its request share.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("counterfoil-request-id");

/// The caller's, else the id of the caller's trace, else a new one.
fn request_id(headers: &HeaderMap) -> Uuid {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let given: Option<Uuid> = text(REQUEST_ID_HEADER.as_str()).and_then(|id| id.parse().ok());
    let trace = || text("traceparent")?.parse().ok().map(|trace: Traceparent| trace.trace_id());
    given.filter(|id| !id.is_nil()).or_else(trace).unwrap_or_else(Uuid::new_v4)
}

/// Middleware (`axum::middleware::from_fn`) that puts each request into its span and says its outcome.
pub async fn trace_requests(request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let route =
        request.extensions().get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str).to_owned();
    let is_probe = matches!(route.as_str(), "/healthz" | "/readyz");
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        route,
        %request_id,
    );
    async move {
        let begun = Instant::now();
        let mut response = next.run(request).await;
        let (status, elapsed_ms) = (response.status(), begun.elapsed().as_millis());
        if status.is_server_error() && !is_probe {
            tracing::warn!(status = status.as_u16(), elapsed_ms, "request failed");
        } else if is_probe {
            tracing::trace!(status = status.as_u16(), elapsed_ms, "probe answered");
        } else {
            tracing::debug!(status = status.as_u16(), elapsed_ms, "request answered");
        }
        if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
            response.headers_mut().insert(REQUEST_ID_HEADER, id);
        }
        response
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    /// The id in the answer.
    async fn ask(headers: &[(&str, &str)]) -> String {
        let router = Router::new().route("/", get(|| async {})).layer(middleware::from_fn(trace_requests));
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        response.headers()[REQUEST_ID_HEADER].to_str().unwrap().to_owned()
    }

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn who_comes_without_an_id_gets_one_and_is_told() {
        let answered = ask(&[]).await;
        assert!(answered.parse::<Uuid>().is_ok());
        assert_ne!(ask(&[]).await, answered);
    }

    #[tokio::test]
    async fn the_id_of_the_callers_trace_is_kept() {
        assert_eq!(ask(&[("traceparent", TRACE)]).await, "0af76519-16cd-43dd-8448-eb211c80319c");
    }

    #[tokio::test]
    async fn the_callers_request_id_comes_first_and_a_bad_one_is_replaced() {
        let id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
        assert_eq!(ask(&[("counterfoil-request-id", id), ("traceparent", TRACE)]).await, id);
        let bad = [("counterfoil-request-id", "<script>"), ("traceparent", "nonsense")];
        assert!(ask(&bad).await.parse::<Uuid>().is_ok());
    }
}
