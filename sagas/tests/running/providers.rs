//! The provider as a test sees it: overheard, and silent if it has to be.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use events::{ids::PaymentId, payment::Operation};
use sagas::gateway::{Answer, Call, Notification, PaymentGateway, VerifyError};
use serde_json::Value;
use tokio::sync::Semaphore;

/// Remembers which payments were worked on through it, and answers a call for each permit.
#[derive(Debug)]
pub(crate) struct Overheard {
    inner: Arc<dyn PaymentGateway>,
    calls: Mutex<Vec<PaymentId>>,
    may_answer: Semaphore,
}

impl Overheard {
    /// One that answers like the one behind it.
    pub(crate) fn new(inner: Arc<dyn PaymentGateway>) -> Arc<Self> {
        Arc::new(Self { inner, calls: Mutex::default(), may_answer: Semaphore::new(Semaphore::MAX_PERMITS) })
    }

    /// One that answers nothing before it is told to.
    pub(crate) fn silent(inner: Arc<dyn PaymentGateway>) -> Arc<Self> {
        Arc::new(Self { inner, calls: Mutex::default(), may_answer: Semaphore::new(0) })
    }

    /// Lets it answer, from now on.
    pub(crate) fn speak(&self) {
        self.may_answer.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Which payments it was called about.
    pub(crate) fn payments(&self) -> BTreeSet<PaymentId> {
        self.calls.lock().unwrap().iter().copied().collect()
    }
}

#[async_trait]
impl PaymentGateway for Overheard {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    async fn perform(&self, call: &Call) -> Answer {
        self.calls.lock().unwrap().push(call.payment_id);
        let _answering = self.may_answer.acquire().await.unwrap();
        self.inner.perform(call).await
    }

    async fn look_up(&self, call: &Call) -> Option<Answer> {
        self.inner.look_up(call).await
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Notification, VerifyError> {
        self.inner.verify(headers, body, now)
    }

    fn interpret(&self, notification: &Value) -> Option<(Operation, Answer)> {
        self.inner.interpret(notification)
    }
}
