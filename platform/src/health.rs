//! `/healthz` says that the process lives; `/readyz` says whether each role can do its work, by checks
//! that have names. A check that fails or takes too long makes its role not ready, and nothing else.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::join_all;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::problem::{NOT_FOUND, Problem, UNAVAILABLE};

/// A check that has not answered by then has failed.
const PATIENCE: Duration = Duration::from_secs(2);

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// One thing that a role needs in order to work.
struct Check {
    role: &'static str,
    name: &'static str,
    run: Box<dyn Fn() -> Outcome + Send + Sync>,
}

/// What must hold for each role to be ready.
pub struct Health {
    checks: Vec<Check>,
    patience: Duration,
}

/// How one check went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The role that needs it.
    pub role: &'static str,
    /// What was checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ready: bool,
    /// What is wrong, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Checked>,
}

impl Health {
    /// No checks: ready at once.
    pub fn new() -> Self {
        Self { checks: Vec::new(), patience: PATIENCE }
    }

    /// Adds what `role` needs. The error's text is shown to whoever asks: no secret may be in it.
    #[must_use]
    pub fn check<F, Fut, E>(mut self, role: &'static str, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let run = Box::new(move || -> Outcome {
            let outcome = check();
            Box::pin(async move { outcome.await.map_err(|error| error.to_string()) })
        });
        self.checks.push(Check { role, name, run });
        self
    }

    /// Runs every check of a role, or of all roles, at the same time.
    pub async fn examine(&self, role: Option<&str>) -> Vec<Checked> {
        let chosen = self.checks.iter().filter(|check| role.is_none_or(|role| role == check.role));
        join_all(chosen.map(|check| async {
            let reason = match timeout(self.patience, (check.run)()).await {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some(reason),
                Err(_) => Some(format!("no answer within {:?}", self.patience)),
            };
            Checked { role: check.role, name: check.name, ready: reason.is_none(), reason }
        }))
        .await
    }

    /// Serves `/healthz`, `/readyz` and `/readyz/{role}`.
    pub fn router(self) -> Router {
        let all = Arc::new(self);
        let of_role = Arc::clone(&all);
        Router::new()
            .route("/healthz", get(async || Json(serde_json::json!({ "alive": true }))))
            .route("/readyz", get(async move || answer(all.examine(None).await)))
            .route(
                "/readyz/{role}",
                get(async move |Path(role): Path<String>| {
                    if of_role.checks.iter().any(|check| check.role == role) {
                        answer(of_role.examine(Some(&role)).await)
                    } else {
                        Problem::new(&NOT_FOUND).detail("this process does not run that role").into_response()
                    }
                }),
            )
    }
}

/// Not ready is a problem like any other, with the checks in it: what is no problem the net under the router
/// would replace, and nobody would learn what is wrong.
fn answer(checks: Vec<Checked>) -> Response {
    if checks.iter().all(|check| check.ready) {
        return Json(Readiness { ready: true, checks }).into_response();
    }
    Problem::new(&UNAVAILABLE).with("ready", false).with("checks", json!(checks)).into_response()
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| (check.role, check.name))).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{convert::Infallible, future::pending};

    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::problem::with_fallbacks;

    async fn get(health: Health, path: &str) -> (u16, Value) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = with_fallbacks(health.router()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn one_broken_role() -> Health {
        Health::new().check("read", "database", async || Ok::<_, Infallible>(())).check(
            "write",
            "store",
            async || Err("connection refused"),
        )
    }

    #[tokio::test]
    async fn a_failed_check_makes_the_process_not_ready_and_names_itself() {
        let (status, body) = get(one_broken_role(), "/readyz").await;
        assert_eq!(status, 503);
        let broken =
            json!({"role": "write", "name": "store", "ready": false, "reason": "connection refused"});
        let sound = json!({"role": "read", "name": "database", "ready": true});
        assert_eq!((&body["ready"], &body["checks"]), (&json!(false), &json!([sound, broken])));
        assert_eq!(body["status"], 503, "{body:#}");
    }

    #[tokio::test]
    async fn a_role_is_ready_although_another_is_not_and_the_process_is_alive() {
        assert_eq!(get(one_broken_role(), "/readyz/read").await.0, 200);
        assert_eq!(get(one_broken_role(), "/readyz/write").await.0, 503);
        assert_eq!(get(one_broken_role(), "/readyz/unheard-of").await.0, 404);
        assert_eq!(get(one_broken_role(), "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn a_check_that_hangs_has_failed() {
        let mut hanging = Health::new().check("write", "store", pending::<Result<(), Infallible>>);
        hanging.patience = Duration::from_millis(10);
        let (status, body) = get(hanging, "/readyz").await;
        assert_eq!(status, 503);
        assert_eq!(body["checks"][0]["reason"], "no answer within 10ms");
    }
}
