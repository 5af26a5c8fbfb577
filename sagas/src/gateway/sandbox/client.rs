//! Our side of the sandbox provider. Whatever is not an answer in so many words is unknown: a time-out, a
//! broken connection, an error of the server, a body that cannot be read.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use events::payment::Operation;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use super::{
    PROVIDER,
    notification::Notice,
    signature::Secrets,
    wire::{CALLS, CallBody, KEY_HEADER},
};
use crate::gateway::{Answer, Call, Notification, PaymentGateway, VerifyError};

/// How long we wait for an answer before we say that it is unknown.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The sandbox provider over HTTP.
#[derive(Debug, Clone)]
pub struct SandboxGateway {
    base_url: String,
    secrets: Secrets,
    http: reqwest::Client,
}

impl SandboxGateway {
    /// A client of the provider at `base_url`, whose webhooks are signed with `secrets`.
    pub fn new(base_url: &str, secrets: Secrets) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), secrets, http })
    }

    /// What the provider answers; `None` when it says that it knows nothing of it.
    async fn ask(request: RequestBuilder) -> Option<Answer> {
        let unknown = |reason: &str| Some(Answer::Unknown { reason: reason.to_owned() });
        let broken = |error: &reqwest::Error| if error.is_timeout() { "timeout" } else { "connection" };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return unknown(broken(&error)),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return None,
            status => return unknown(&format!("http_{}", status.as_u16())),
        }
        match response.bytes().await {
            Ok(body) => serde_json::from_slice(&body).ok().or_else(|| unknown("unreadable")),
            Err(error) => unknown(broken(&error)),
        }
    }
}

#[async_trait]
impl PaymentGateway for SandboxGateway {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    async fn perform(&self, call: &Call) -> Answer {
        let request = self
            .http
            .post(format!("{}{CALLS}", self.base_url))
            .header(KEY_HEADER, call.idempotency_key())
            .json(&CallBody::from(call));
        Self::ask(request).await.unwrap_or_else(|| Answer::Unknown { reason: "http_404".to_owned() })
    }

    async fn look_up(&self, call: &Call) -> Option<Answer> {
        let (base, payment, key) = (&self.base_url, call.payment_id, call.idempotency_key());
        Self::ask(self.http.get(format!("{base}/v1/payments/{payment}/calls/{key}"))).await
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Notification, VerifyError> {
        Notice::verify(&self.secrets, headers, body, now)
    }

    fn interpret(&self, notification: &Value) -> Option<(Operation, Answer)> {
        Notice::interpret(notification)
    }
}
