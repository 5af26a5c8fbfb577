//! The provider's books: what it holds, took and gave back, per payment, and what each key did. Pure:
//! time comes in, and what is to be sent comes out. **The same key has one effect, and keeps its answer.**

mod script;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{Currency, Money, ids::PaymentId, payment::Operation};
use serde::{Deserialize, Serialize};

use super::notification::Notice;
use crate::gateway::{Answer, Call};

/// How an answer travels back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Now.
    Prompt,
    /// After the time that `tok_slow` takes.
    Slow,
    /// Never: the effect is made, and the answer is lost.
    Lost,
    /// An internal error instead. Nothing was done.
    InternalError,
    /// Out of service. Nothing was done.
    Unavailable,
}

/// What the provider does about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What it answers, if the answer arrives.
    pub answer: Answer,
    /// How the answer travels.
    pub delivery: Delivery,
    /// Webhooks to be delivered before the answer is given.
    pub notify_before: Vec<Notice>,
    /// Webhooks to be delivered after it. One that occurs twice is sent twice.
    pub notify_after: Vec<Notice>,
}

impl Reply {
    /// Whether something is to follow: a webhook, or the approval of what is pending.
    pub fn leaves_something_to_do(&self) -> bool {
        let has_notices = !self.notify_before.is_empty() || !self.notify_after.is_empty();
        has_notices || matches!(self.answer, Answer::Pending)
    }
}

/// The key was used before for something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key {key} was used before with other content")]
pub struct KeyReused {
    /// The key.
    pub key: String,
}

/// Everything that one payment's calls did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentBook {
    /// The payment, by the shop's id.
    pub payment_id: PaymentId,
    /// The means of payment.
    pub method: String,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Minor units that were ever authorized.
    pub authorized: i64,
    /// Minor units taken.
    pub captured: i64,
    /// Whether the authorization was given up.
    pub voided: bool,
    /// Minor units given back.
    pub refunded: i64,
    /// How many calls arrived, repeats included.
    pub calls: u32,
    /// What each key did, by key.
    pub operations: BTreeMap<String, Entry>,
}

/// What one key did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was asked for.
    pub operation: Operation,
    /// How much was asked for.
    pub amount: Money,
    /// How many times it arrived.
    pub calls: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It arrived, and failed before it had an effect.
    NotYet,
    /// To be approved at a time.
    Pending {
        /// When.
        approve_at: DateTime<Utc>,
    },
    /// Done.
    Approved {
        /// How much.
        amount: Money,
    },
    /// Refused for good.
    Declined {
        /// Why.
        code: String,
    },
}

impl PaymentBook {
    /// The book of a payment that nobody has called about.
    pub fn new(call: &Call) -> Self {
        Self {
            payment_id: call.payment_id,
            method: call.method.clone(),
            currency: call.amount.currency,
            authorized: 0,
            captured: 0,
            voided: false,
            refunded: 0,
            calls: 0,
            operations: BTreeMap::new(),
        }
    }

    /// Takes a call: the first of its key may have an effect, a repeat gets the answer of the first.
    pub fn call(&mut self, call: &Call, now: DateTime<Utc>) -> Result<Reply, KeyReused> {
        let key = call.idempotency_key();
        let known = self.operations.get(&key);
        if known.is_some_and(|entry| entry.operation != call.operation || entry.amount != call.amount) {
            return Err(KeyReused { key });
        }
        let nth = known.map_or(0, |entry| entry.calls).saturating_add(1);
        let decided = known.map_or(Outcome::NotYet, |entry| entry.outcome.clone());
        let delivery = script::delivery(&self.method, call.operation, nth);
        let (outcome, news) = match decided {
            Outcome::NotYet if delivery.has_effect() => (self.decide(call, now), true),
            Outcome::NotYet
            | Outcome::Pending { .. }
            | Outcome::Approved { .. }
            | Outcome::Declined { .. } => (decided, false),
        };
        self.calls = self.calls.saturating_add(1);
        let entry =
            Entry { operation: call.operation, amount: call.amount, calls: nth, outcome: outcome.clone() };
        let notice = news.then(|| self.notice(call.operation, &outcome)).flatten();
        let answer = self.answer(&outcome);
        self.operations.insert(key, entry);
        let (notify_before, notify_after) = script::notices(&self.method, notice);
        Ok(Reply { answer, delivery, notify_before, notify_after })
    }

    /// What became of a key; `None` when it never arrived or never had an effect.
    pub fn look_up(&self, key: &str) -> Option<Answer> {
        let entry = self.operations.get(key)?;
        match &entry.outcome {
            Outcome::NotYet => None,
            outcome @ (Outcome::Pending { .. } | Outcome::Approved { .. } | Outcome::Declined { .. }) => {
                Some(self.answer(outcome))
            }
        }
    }

    /// When the next pending operation is approved, if one is pending.
    pub fn next_settlement(&self) -> Option<DateTime<Utc>> {
        let pending = self.operations.values().filter_map(|entry| match &entry.outcome {
            Outcome::Pending { approve_at } => Some(*approve_at),
            Outcome::NotYet | Outcome::Approved { .. } | Outcome::Declined { .. } => None,
        });
        pending.min()
    }

    /// Approves what was pending until `now`, and says which webhooks that causes.
    pub fn settle(&mut self, now: DateTime<Utc>) -> Vec<Notice> {
        let mut notices = Vec::new();
        let due: Vec<(String, Operation, Money)> = self
            .operations
            .iter()
            .filter(
                |(_, entry)| matches!(entry.outcome, Outcome::Pending { approve_at } if approve_at <= now),
            )
            .map(|(key, entry)| (key.clone(), entry.operation, entry.amount))
            .collect();
        for (key, operation, amount) in due {
            self.authorized = self.authorized.saturating_add(amount.amount);
            let outcome = Outcome::Approved { amount };
            notices.extend(self.notice(operation, &outcome));
            if let Some(entry) = self.operations.get_mut(&key) {
                entry.outcome = outcome;
            }
        }
        notices
    }

    fn decide(&mut self, call: &Call, now: DateTime<Utc>) -> Outcome {
        let declined = |code: &str| Outcome::Declined { code: code.to_owned() };
        if call.amount.currency != self.currency {
            return declined("currency_mismatch");
        }
        let asked = call.amount.amount;
        match call.operation {
            Operation::Authorize => {
                let outcome = script::authorization(&self.method, call.amount, now);
                if let Outcome::Approved { amount } = &outcome {
                    self.authorized = self.authorized.saturating_add(amount.amount);
                }
                outcome
            }
            Operation::Capture { .. } => {
                if self.voided {
                    return declined("authorization_voided");
                }
                if asked <= 0 || self.captured.saturating_add(asked) > self.authorized {
                    return declined("exceeds_authorization");
                }
                if script::refuses_captures(&self.method) {
                    return declined("capture_refused");
                }
                self.captured = self.captured.saturating_add(asked);
                Outcome::Approved { amount: call.amount }
            }
            Operation::Void => {
                if self.captured > 0 {
                    return declined("already_captured");
                }
                self.voided = true;
                Outcome::Approved { amount: call.amount }
            }
            Operation::Refund { .. } => {
                if asked <= 0 || self.refunded.saturating_add(asked) > self.captured {
                    return declined("exceeds_captured");
                }
                self.refunded = self.refunded.saturating_add(asked);
                Outcome::Approved { amount: call.amount }
            }
        }
    }

    fn answer(&self, outcome: &Outcome) -> Answer {
        match outcome {
            Outcome::NotYet => Answer::Unknown { reason: "not_yet".to_owned() },
            Outcome::Pending { .. } => Answer::Pending,
            Outcome::Approved { amount } => {
                Answer::Approved { provider_reference: self.reference(), amount: *amount }
            }
            Outcome::Declined { code } => Answer::Declined { code: code.clone() },
        }
    }

    fn notice(&self, operation: Operation, outcome: &Outcome) -> Option<Notice> {
        match outcome {
            Outcome::NotYet | Outcome::Pending { .. } => None,
            Outcome::Approved { .. } | Outcome::Declined { .. } => {
                Some(Notice::new(self.payment_id, operation, self.answer(outcome)))
            }
        }
    }

    /// The provider's own id of the payment.
    fn reference(&self) -> String {
        format!("sbx_{}", self.payment_id.0.simple())
    }
}

impl Delivery {
    /// Whether the call reaches the books.
    fn has_effect(self) -> bool {
        match self {
            Self::Prompt | Self::Slow | Self::Lost => true,
            Self::InternalError | Self::Unavailable => false,
        }
    }
}

#[cfg(test)]
mod tests;
