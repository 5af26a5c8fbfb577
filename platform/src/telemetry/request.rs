//! Every request runs inside a span with its correlation id, and its answer carries that id. Who calls
//! with a trace or a correlation id keeps it; who comes without gets one. Queries and bodies are never
//! logged, and of the path only the route.

use std::{convert::Infallible, time::Instant};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;
use uuid::Uuid;

use super::Traceparent;

/// The id that all log lines, events and answers of one piece of work share.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("counterfoil-correlation-id");

/// What a request belongs to. A handler takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestContext {
    /// The caller's, else the id of the caller's trace, else a new one.
    pub correlation_id: Uuid,
    /// The caller's trace, or one that begins here.
    pub traceparent: Traceparent,
}

impl RequestContext {
    /// Reads it from a request's headers.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let correlation: Option<Uuid> =
            text(CORRELATION_HEADER.as_str()).and_then(|id| id.parse().ok()).filter(|id: &Uuid| !id.is_nil());
        let traceparent: Option<Traceparent> = text("traceparent").and_then(|header| header.parse().ok());
        let correlation_id =
            correlation.or_else(|| traceparent.map(|trace| trace.trace_id())).unwrap_or_else(Uuid::new_v4);
        Self {
            correlation_id,
            traceparent: traceparent.unwrap_or_else(|| Traceparent::begin(correlation_id)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().copied();
        Ok(known.unwrap_or_else(|| Self::from_headers(&parts.headers)))
    }
}

/// Middleware (`axum::middleware::from_fn`) that puts each request into its span and says its outcome.
pub async fn trace_requests(mut request: Request, next: Next) -> Response {
    let context = RequestContext::from_headers(request.headers());
    request.extensions_mut().insert(context);
    let route =
        request.extensions().get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str).to_owned();
    let is_probe = matches!(route.as_str(), "/healthz" | "/readyz");
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        route,
        correlation_id = %context.correlation_id,
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
        if let Ok(id) = HeaderValue::from_str(&context.correlation_id.to_string()) {
            response.headers_mut().insert(CORRELATION_HEADER, id);
        }
        response
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use axum::{Router, body::Body, body::to_bytes, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    /// The correlation id and traceparent that a handler saw, and the id in the answer.
    async fn ask(headers: &[(&str, &str)]) -> (String, String, String) {
        let seen =
            async |context: RequestContext| format!("{} {}", context.correlation_id, context.traceparent);
        let router = Router::new().route("/", get(seen)).layer(middleware::from_fn(trace_requests));
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let answered = response.headers()[CORRELATION_HEADER].to_str().unwrap().to_owned();
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        let (correlation, traceparent) = std::str::from_utf8(&body).unwrap().split_once(' ').unwrap();
        (correlation.to_owned(), traceparent.to_owned(), answered)
    }

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn who_comes_without_an_id_gets_one_and_is_told() {
        let (seen, traceparent, answered) = ask(&[]).await;
        assert_eq!(seen, answered);
        let trace: Traceparent = traceparent.parse().unwrap();
        assert_eq!(trace.trace_id().to_string(), seen);
        assert_ne!(ask(&[]).await.0, seen);
    }

    #[tokio::test]
    async fn the_callers_trace_is_kept_and_its_id_correlates() {
        let (seen, traceparent, _) = ask(&[("traceparent", TRACE)]).await;
        assert_eq!(traceparent, TRACE);
        assert_eq!(seen, "0af76519-16cd-43dd-8448-eb211c80319c");
    }

    #[tokio::test]
    async fn the_callers_correlation_id_comes_first_and_a_bad_one_is_replaced() {
        let id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
        let headers = [("counterfoil-correlation-id", id), ("traceparent", TRACE)];
        assert_eq!(ask(&headers).await.0, id);
        let (seen, _, _) =
            ask(&[("counterfoil-correlation-id", "<script>"), ("traceparent", "nonsense")]).await;
        assert!(seen.parse::<Uuid>().is_ok());
    }
}
