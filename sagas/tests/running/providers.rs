//! The provider as a test sees it: overheard, or silent.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use events::{ids::PaymentId, payment::Operation};
use sagas::gateway::{Answer, Call, Notification, PaymentGateway, VerifyError};
use serde_json::Value;
use tokio::sync::Semaphore;

/// Remembers which payments were worked on through it.
#[derive(Debug)]
pub(crate) struct Overheard {
    inner: Arc<dyn PaymentGateway>,
    calls: Mutex<Vec<PaymentId>>,
}

impl Overheard {
    pub(crate) fn new(inner: Arc<dyn PaymentGateway>) -> Arc<Self> {
        Arc::new(Self { inner, calls: Mutex::default() })
    }

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

/// A provider that does not answer before it is told to.
#[derive(Debug)]
pub(crate) struct Silent {
    inner: Arc<dyn PaymentGateway>,
    pub(crate) asked: AtomicUsize,
    pub(crate) may_answer: Semaphore,
}

impl Silent {
    pub(crate) fn new(inner: Arc<dyn PaymentGateway>) -> Arc<Self> {
        Arc::new(Self { inner, asked: AtomicUsize::new(0), may_answer: Semaphore::new(0) })
    }
}

#[async_trait]
impl PaymentGateway for Silent {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    async fn perform(&self, call: &Call) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _may_answer = self.may_answer.acquire().await.unwrap();
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
