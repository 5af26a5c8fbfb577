//! What the provider said: never refused. Each answer becomes the fact that it states, a discrepancy, or
//! both; and it may be the turn of an answer that came early.

use events::{
    Money,
    ids::{CaptureId, RefundId},
    payment::{
        Authorized, CaptureFailed, Captured, Declined, DiscrepancyFound, Operation, PaymentEvent,
        RefundFailed, Refunded, Voided,
    },
};

use super::{Account, Mismatch, movement::Movement, state::Authorization};

/// What does not fit about captures, or about refunds.
struct Mismatches {
    not_requested: Mismatch,
    made_after_failure: Mismatch,
    failed_after_made: Mismatch,
}

const CAPTURES: Mismatches = Mismatches {
    not_requested: Mismatch::CaptureNotRequested,
    made_after_failure: Mismatch::CapturedAfterFailure,
    failed_after_made: Mismatch::FailedAfterCapture,
};

const REFUNDS: Mismatches = Mismatches {
    not_requested: Mismatch::RefundNotRequested,
    made_after_failure: Mismatch::RefundedAfterFailure,
    failed_after_made: Mismatch::FailedAfterRefund,
};

/// What the answer that a movement was made comes to.
enum Made {
    /// The money moved now, as far as the rest of the history allows it; these events come first.
    News(Vec<PaymentEvent>),
    /// The money did not move now; these events are all there is to it.
    NoNews(Vec<PaymentEvent>),
}

impl Account {
    pub(super) fn record_authorized(&self, amount: Money, provider_reference: &str) -> Vec<PaymentEvent> {
        let expected = self.intent.amount;
        let authorize = Operation::Authorize;
        if let Some(known) = self.authorized() {
            if known == amount {
                return vec![];
            }
            return self.found(authorize, Mismatch::AnswerChanged, Some(known), Some(amount));
        }
        // The discrepancy comes first, so that nobody acts on the authorization before it is known.
        let mut events = Vec::new();
        if self.is_declined() {
            events.extend(self.found(authorize, Mismatch::AuthorizedAfterDecline, None, Some(amount)));
        }
        if amount != expected {
            events.extend(self.found(authorize, Mismatch::AmountDiffers, Some(expected), Some(amount)));
        }
        events.push(PaymentEvent::Authorized(Authorized {
            payment_id: self.intent.payment_id,
            amount,
            provider_reference: provider_reference.to_owned(),
        }));
        let unwanted = self.is_declined() || amount != expected;
        if unwanted && !matches!(self.authorization, Authorization::AskedThenGivenUp { .. }) {
            events.push(self.void_requested());
        }
        self.with_early(events)
    }

    pub(super) fn record_declined(&self, code: &str) -> Vec<PaymentEvent> {
        match self.authorization {
            Authorization::Declined => vec![],
            Authorization::Held { amount }
            | Authorization::BeingVoided { amount, .. }
            | Authorization::Voided { amount } => {
                let mismatch = Mismatch::DeclinedAfterAuthorization;
                self.found(Operation::Authorize, mismatch, Some(amount), None)
            }
            Authorization::Asked { .. } | Authorization::AskedThenGivenUp { .. } => {
                vec![PaymentEvent::Declined(Declined {
                    payment_id: self.intent.payment_id,
                    code: code.to_owned(),
                })]
            }
        }
    }

    pub(super) fn record_captured(&self, capture_id: CaptureId, amount: Money) -> Vec<PaymentEvent> {
        let operation = Operation::Capture { capture_id };
        let mut events = match self.before_made(operation, self.captures.get(capture_id), amount, &CAPTURES) {
            Made::News(before) => before,
            Made::NoNews(instead) => return instead,
        };
        if self.authorized().is_none() {
            return self.found_early(operation, Mismatch::CapturedBeforeAuthorization, amount);
        }
        if !self.capture_fits(amount) {
            let mismatch = Mismatch::CaptureExceedsAuthorization;
            return self.found(operation, mismatch, self.authorized(), Some(amount));
        }
        events.push(self.captured_now(capture_id, amount));
        self.with_early(events)
    }

    pub(super) fn record_capture_failed(&self, capture_id: CaptureId, code: &str) -> Vec<PaymentEvent> {
        let operation = Operation::Capture { capture_id };
        let failed = PaymentEvent::CaptureFailed(CaptureFailed {
            payment_id: self.intent.payment_id,
            capture_id,
            code: code.to_owned(),
        });
        self.failed(operation, self.captures.get(capture_id), failed, &CAPTURES)
    }

    pub(super) fn record_voided(&self) -> Vec<PaymentEvent> {
        let void = Operation::Void;
        let voided = PaymentEvent::Voided(Voided { payment_id: self.intent.payment_id });
        let captured = self.captures.made_or_asked();
        match self.authorization {
            Authorization::Voided { .. } => vec![],
            Authorization::Declined => self.found(void, Mismatch::VoidedAfterDecline, None, None),
            Authorization::Asked { .. } | Authorization::AskedThenGivenUp { .. } => {
                self.found(void, Mismatch::VoidedBeforeAuthorization, None, None)
            }
            Authorization::Held { .. } if captured > 0 => {
                self.found(void, Mismatch::VoidedAfterCapture, Some(self.in_currency(captured)), None)
            }
            Authorization::Held { amount } => {
                let mut events = self.found(void, Mismatch::VoidNotRequested, Some(amount), None);
                events.push(voided);
                events
            }
            Authorization::BeingVoided { .. } => vec![voided],
        }
    }

    pub(super) fn record_refunded(&self, refund_id: RefundId, amount: Money) -> Vec<PaymentEvent> {
        let operation = Operation::Refund { refund_id };
        let mut events = match self.before_made(operation, self.refunds.get(refund_id), amount, &REFUNDS) {
            Made::News(before) => before,
            Made::NoNews(instead) => return instead,
        };
        if !self.refund_fits(amount) {
            return self.found_early(operation, Mismatch::RefundedBeforeCapture, amount);
        }
        events.push(self.refunded_now(refund_id, amount));
        self.with_early(events)
    }

    pub(super) fn record_refund_failed(&self, refund_id: RefundId, code: &str) -> Vec<PaymentEvent> {
        let operation = Operation::Refund { refund_id };
        let failed = PaymentEvent::RefundFailed(RefundFailed {
            payment_id: self.intent.payment_id,
            refund_id,
            code: code.to_owned(),
        });
        self.failed(operation, self.refunds.get(refund_id), failed, &REFUNDS)
    }

    /// What a movement that was made comes to, going by what is known of it.
    fn before_made(
        &self,
        operation: Operation,
        known: Option<Movement>,
        amount: Money,
        names: &Mismatches,
    ) -> Made {
        let expected = known.map(|movement| self.in_currency(movement.amount()));
        let found = |mismatch| self.found(operation, mismatch, expected, Some(amount));
        if self.cannot_count(amount) {
            return Made::NoNews(found(Mismatch::NotInCurrency));
        }
        match known {
            Some(Movement::Made { .. }) if expected == Some(amount) => Made::NoNews(vec![]),
            Some(Movement::Made { .. }) => Made::NoNews(found(Mismatch::AnswerChanged)),
            Some(Movement::Failed { .. }) => Made::News(found(names.made_after_failure)),
            Some(Movement::Asked { .. }) if expected == Some(amount) => Made::News(vec![]),
            Some(Movement::Asked { .. }) => Made::News(found(Mismatch::AmountDiffers)),
            None => Made::News(found(names.not_requested)),
        }
    }

    /// What a movement that failed for good comes to, going by what is known of it.
    fn failed(
        &self,
        operation: Operation,
        known: Option<Movement>,
        failed: PaymentEvent,
        names: &Mismatches,
    ) -> Vec<PaymentEvent> {
        match known {
            Some(Movement::Asked { .. }) => vec![failed],
            Some(Movement::Failed { .. }) => vec![],
            Some(Movement::Made { amount }) => {
                let expected = Some(self.in_currency(amount));
                self.found(operation, names.failed_after_made, expected, None)
            }
            None => self.found(operation, names.not_requested, None, None),
        }
    }

    fn captured_now(&self, capture_id: CaptureId, amount: Money) -> PaymentEvent {
        PaymentEvent::Captured(Captured { payment_id: self.intent.payment_id, capture_id, amount })
    }

    fn refunded_now(&self, refund_id: RefundId, amount: Money) -> PaymentEvent {
        PaymentEvent::Refunded(Refunded { payment_id: self.intent.payment_id, refund_id, amount })
    }

    fn cannot_count(&self, amount: Money) -> bool {
        amount.amount <= 0 || amount.currency != self.intent.amount.currency
    }

    /// A discrepancy, unless exactly it was found before.
    fn found(
        &self,
        operation: Operation,
        mismatch: Mismatch,
        expected: Option<Money>,
        reported: Option<Money>,
    ) -> Vec<PaymentEvent> {
        let found = DiscrepancyFound {
            payment_id: self.intent.payment_id,
            operation,
            expected,
            reported,
            code: mismatch.code().to_owned(),
        };
        if self.discrepancies.contains(&found) {
            return vec![];
        }
        vec![PaymentEvent::DiscrepancyFound(found)]
    }

    /// A discrepancy whose answer is kept; one that changes what was kept is not kept in its place.
    fn found_early(&self, operation: Operation, mismatch: Mismatch, amount: Money) -> Vec<PaymentEvent> {
        match self.early.get(&operation) {
            Some(kept) if *kept != Some(amount) => {
                self.found(operation, Mismatch::AnswerChanged, *kept, Some(amount))
            }
            Some(_) | None => self.found(operation, mismatch, None, Some(amount)),
        }
    }

    /// The events, and after them the early answers whose turn they make it.
    fn with_early(&self, mut events: Vec<PaymentEvent>) -> Vec<PaymentEvent> {
        if self.early.is_empty() {
            return events;
        }
        let mut account = self.clone();
        let mut foreseen = events.iter().try_for_each(|event| account.take(event)).is_ok();
        while foreseen && let Some(event) = account.due() {
            foreseen = account.take(&event).is_ok();
            events.push(event);
        }
        events
    }

    /// The first early answer that fits the history now.
    fn due(&self) -> Option<PaymentEvent> {
        self.early.iter().find_map(|(operation, amount)| match (*operation, *amount) {
            (Operation::Capture { capture_id }, Some(amount)) if self.capture_fits(amount) => {
                Some(self.captured_now(capture_id, amount))
            }
            (Operation::Refund { refund_id }, Some(amount)) if self.refund_fits(amount) => {
                Some(self.refunded_now(refund_id, amount))
            }
            (Operation::Void, None) if self.authorized().is_some() && self.captures.made_or_asked() == 0 => {
                Some(PaymentEvent::Voided(Voided { payment_id: self.intent.payment_id }))
            }
            (
                Operation::Authorize | Operation::Capture { .. } | Operation::Void | Operation::Refund { .. },
                Some(_) | None,
            ) => None,
        })
    }
}
