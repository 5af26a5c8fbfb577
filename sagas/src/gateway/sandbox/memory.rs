//! The stand-in inside the process, for simulations: the same books, no sockets and no real time. **An
//! answer that would be slow or lost is unknown at once**; webhooks wait until somebody delivers them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use events::{ids::PaymentId, payment::Operation};
use platform::clock::Clock;
use serde_json::Value;

use super::{
    PROVIDER,
    books::{Delivery, PaymentBook},
    notification::Notice,
    signature::Secrets,
};
use crate::gateway::{Answer, Call, Notification, PaymentGateway, VerifyError};

/// Calls that fail whatever their token says, by their number: the first call ever made is 1.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// They do not reach the books.
    pub fail_before: BTreeSet<u64>,
    /// They reach the books, and their answer is lost.
    pub fail_after: BTreeSet<u64>,
}

/// The provider in memory.
#[derive(Debug)]
pub struct MemoryGateway {
    clock: Clock,
    secrets: Secrets,
    faults: FaultPlan,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    books: BTreeMap<PaymentId, PaymentBook>,
    outbox: Vec<Notice>,
    calls: u64,
}

impl MemoryGateway {
    /// An empty provider whose webhooks are signed with `secrets`.
    pub fn new(clock: Clock, secrets: Secrets, faults: FaultPlan) -> Self {
        Self { clock, secrets, faults, inner: Mutex::default() }
    }

    /// Every payment's book.
    pub fn books(&self) -> Vec<PaymentBook> {
        self.inner().books.values().cloned().collect()
    }

    /// How many calls were made, lost ones included.
    pub fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// Approves what was pending until now, and hands over all webhooks that were not delivered yet. One
    /// that is to be delivered twice occurs twice.
    pub fn take_notices(&self) -> Vec<Notice> {
        let now = self.clock.now();
        let mut inner = self.inner();
        let settled: Vec<Notice> = inner.books.values_mut().flat_map(|book| book.settle(now)).collect();
        let mut notices = std::mem::take(&mut inner.outbox);
        notices.extend(settled);
        notices
    }

    /// When the next pending payment is approved, if one is pending.
    pub fn next_settlement(&self) -> Option<DateTime<Utc>> {
        self.inner().books.values().filter_map(PaymentBook::next_settlement).min()
    }

    /// A panic elsewhere leaves the books as they were, which is as good as a crash of the caller.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PaymentGateway for MemoryGateway {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    async fn perform(&self, call: &Call) -> Answer {
        let unknown = |reason: &str| Answer::Unknown { reason: reason.to_owned() };
        let now = self.clock.now();
        let mut inner = self.inner();
        inner.calls += 1;
        let number = inner.calls;
        if self.faults.fail_before.contains(&number) {
            return unknown("connection");
        }
        let book = inner.books.entry(call.payment_id).or_insert_with(|| PaymentBook::new(call));
        let Ok(reply) = book.call(call, now) else { return unknown("http_422") };
        inner.outbox.extend(reply.notify_before);
        inner.outbox.extend(reply.notify_after);
        if self.faults.fail_after.contains(&number) {
            return unknown("connection");
        }
        match reply.delivery {
            Delivery::Prompt => reply.answer,
            Delivery::Slow | Delivery::Lost => unknown("timeout"),
            Delivery::InternalError => unknown("http_500"),
            Delivery::Unavailable => unknown("http_503"),
        }
    }

    async fn look_up(&self, call: &Call) -> Option<Answer> {
        let now = self.clock.now();
        let mut guard = self.inner();
        let inner = &mut *guard;
        let book = inner.books.get_mut(&call.payment_id)?;
        inner.outbox.extend(book.settle(now));
        book.look_up(&call.idempotency_key())
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
