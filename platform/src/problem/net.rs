//! The safety net under a router: whatever it refuses without a problem of its own leaves as one, and a
//! handler that panics is logged and answered, without taking the server or its message along.

use std::any::Any;

use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{INTERNAL, MEDIA_TYPE, METHOD_NOT_ALLOWED, NOT_FOUND, Problem, leftover, rejection::for_status};

/// Puts the net under a router. Apply it last, but for the layers that its own answers go through as well.
pub fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(|| async { Problem::new(&NOT_FOUND) })
        .method_not_allowed_fallback(|| async { Problem::new(&METHOD_NOT_ALLOWED) })
        .layer(middleware::from_fn(catch_bare_refusals))
        .layer(middleware::from_fn(leftover::take_in))
        .layer(CatchPanicLayer::custom(answer_a_panic))
}

/// Replaces an error answer of a layer or extractor that is not a problem; its headers (`Allow`) stay.
async fn catch_bare_refusals(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_problem(&response) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let mut problem = Problem::new(for_status(status)).into_response();
    for (name, value) in &parts.headers {
        problem.headers_mut().append(name, value.clone());
    }
    problem
}

fn is_problem(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(MEDIA_TYPE.as_bytes()))
}

fn answer_a_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("(not text)").to_owned(),
    };
    tracing::error!(message, "a request handler panicked");
    Problem::new(&INTERNAL).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use axum::{
        Json,
        body::{Body, to_bytes},
        extract::{DefaultBodyLimit, rejection::JsonRejection},
        http::{Request, StatusCode},
        routing::post,
    };
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn strict(body: Result<Json<[u8; 2]>, JsonRejection>) -> Result<&'static str, Problem> {
        body.map(|_| "ok").map_err(Problem::from)
    }

    async fn lax(Json(_): Json<Value>) -> &'static str {
        "ok"
    }

    async fn panics() -> &'static str {
        panic!("the secret is 4711")
    }

    async fn send(method: &str, path: &str, kind: &str, body: &'static str) -> (StatusCode, Value, String) {
        let router = Router::new()
            .route("/strict", post(strict))
            .route("/lax", post(lax))
            .route("/panics", post(panics))
            .layer(DefaultBodyLimit::max(64));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
        let response = with_fallbacks(router).oneshot(request).await.unwrap();
        let status = response.status();
        let allow = response.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default(), allow.unwrap_or_default())
    }

    #[tokio::test]
    async fn each_bare_refusal_of_http_is_a_problem_of_its_own_type() {
        let long = "[1, 2                                                                                 ]";
        for (method, path, kind, body, status, name) in [
            ("GET", "/nowhere", "", "", 404, "not-found"),
            ("DELETE", "/strict", "", "", 405, "method-not-allowed"),
            ("POST", "/strict", "text/plain", "[1, 2]", 415, "unsupported-media-type"),
            ("POST", "/lax", "text/plain", "[1, 2]", 415, "unsupported-media-type"),
            ("POST", "/strict", "application/json", "[1, ", 400, "malformed-json"),
            ("POST", "/strict", "application/json", r#"["a", 2]"#, 400, "invalid-request"),
            ("POST", "/strict", "application/json", long, 413, "body-too-large"),
            ("POST", "/lax", "application/json", long, 413, "body-too-large"),
            ("POST", "/panics", "", "", 500, "internal"),
        ] {
            let (answered, problem, _) = send(method, path, kind, body).await;
            assert_eq!(answered.as_u16(), status, "{method} {path} {body}");
            assert_eq!(problem["type"], format!("/problems/{name}"), "{method} {path} {body}");
            assert_eq!(problem["status"], status);
        }
    }

    #[tokio::test]
    async fn the_allowed_methods_survive_and_a_panics_message_does_not() {
        let (_, _, allow) = send("DELETE", "/strict", "", "").await;
        assert_eq!(allow, "POST");
        let (_, problem, _) = send("POST", "/panics", "", "").await;
        assert!(!problem.to_string().contains("4711"));
    }

    #[tokio::test]
    async fn what_is_right_passes_untouched() {
        let (status, _, _) = send("POST", "/strict", "application/json", "[1, 2]").await;
        assert_eq!(status, StatusCode::OK);
    }
}
