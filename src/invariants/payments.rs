//! I2, I3 and I7: what was moved for each payment, by the log and by the provider's own books. The two
//! may differ over a payment only where the log says that something is open or does not fit.

use std::collections::{BTreeMap, HashMap, HashSet};

use events::{
    Money,
    ids::{CaptureId, OrderId, PaymentId, RefundId},
    payment::{DiscrepancyFound, Operation, PaymentEvent},
};
use projections::{Event, Fact};

use super::{Note, ProviderPayment, Violation, report::Findings};

/// How the log calls a capture that the provider tells of while nothing is known to be held.
const TOLD_EARLY: &str = "captured_before_authorization";

#[derive(Debug, Default)]
pub(super) struct Payments {
    accounts: BTreeMap<PaymentId, Account>,
}

/// What the log says of one payment. Amounts in minor units.
#[derive(Debug)]
pub(super) struct Account {
    requested: Money,
    authorized: Option<Money>,
    voided: bool,
    asked: HashSet<CaptureId>,
    /// Captures that the provider told of before it told of an authorization.
    early: HashSet<CaptureId>,
    captures: HashMap<CaptureId, i64>,
    refunds: HashMap<RefundId, i64>,
    open: HashSet<Operation>,
    /// Calls that a person was told of.
    told: HashSet<Operation>,
    /// Something that the provider said does not fit, so that its books may differ from ours for good.
    discrepancy: bool,
    /// What the provider said to have captured more (or less) than we had asked for.
    captured_otherwise: i128,
}

impl Payments {
    pub(super) fn take(&mut self, fact: &Fact, findings: &mut Findings) {
        let Event::Payment(event) = &fact.event else { return };
        if let PaymentEvent::Requested(requested) = event {
            self.accounts.insert(requested.payment_id, Account::new(requested.amount));
            return;
        }
        let payment_id = payment_of(event);
        if let Some(account) = self.accounts.get_mut(&payment_id) {
            account.take(payment_id, event, findings);
        }
    }

    /// The account of an order's payment.
    pub(super) fn of_order(&self, order_id: OrderId) -> Option<&Account> {
        self.accounts.get(&PaymentId::from(order_id))
    }

    pub(super) fn finish(&self, provider: Option<&[ProviderPayment]>, findings: &mut Findings) {
        let Some(provider) = provider else { return };
        for book in provider {
            check_captures(book, self.accounts.get(&book.payment_id), findings);
            check_refunds(book, findings);
            match self.accounts.get(&book.payment_id) {
                Some(account) => account.compare(book, findings),
                None if book.net() != 0 || book.held() != 0 => {
                    let theirs = if book.net() == 0 { book.held() } else { book.net() };
                    findings.broken(Violation::UnknownPayment { payment_id: book.payment_id, theirs });
                }
                None => {}
            }
        }
        let known: HashSet<_> = provider.iter().map(|book| book.payment_id).collect();
        for (payment_id, account) in &self.accounts {
            if !known.contains(payment_id) && account.captured() != 0 {
                let ours = account.kept();
                findings.broken(Violation::UnknownToProvider { payment_id: *payment_id, ours });
            }
        }
    }

    pub(super) fn summary(&self) -> String {
        let captures: usize = self.accounts.values().map(|account| account.captures.len()).sum();
        let refunds: usize = self.accounts.values().map(|account| account.refunds.len()).sum();
        format!("{} payments, {captures} captures, {refunds} refunds", self.accounts.len())
    }
}

impl Account {
    fn new(requested: Money) -> Self {
        Self {
            requested,
            authorized: None,
            voided: false,
            asked: HashSet::new(),
            early: HashSet::new(),
            captures: HashMap::new(),
            refunds: HashMap::new(),
            open: HashSet::from([Operation::Authorize]),
            told: HashSet::new(),
            discrepancy: false,
            captured_otherwise: 0,
        }
    }

    /// What was taken.
    pub(super) fn captured(&self) -> i128 {
        self.captures.values().map(|amount| i128::from(*amount)).sum()
    }

    fn refunded(&self) -> i128 {
        self.refunds.values().map(|amount| i128::from(*amount)).sum()
    }

    /// What was taken and not given back.
    pub(super) fn kept(&self) -> i128 {
        self.captured() - self.refunded()
    }

    /// What is held and neither taken nor given up. Once something is taken, the rest lapses.
    pub(super) fn held(&self) -> i128 {
        match self.authorized {
            Some(held) if !self.voided && self.captures.is_empty() => i128::from(held.amount),
            Some(_) | None => 0,
        }
    }

    /// Whether a person was told of a call that has no answer still.
    pub(super) fn waits(&self) -> bool {
        !self.open.is_disjoint(&self.told)
    }

    /// What is open, so that the money may still move: an answer that comes ends it.
    pub(super) fn open(&self) -> Option<&'static str> {
        if self.waits() {
            return Some("a person was asked to look");
        }
        (!self.open.is_empty()).then_some("a call is without an answer")
    }

    /// Why less or more is captured than the order comes to, where the log says so: something is open,
    /// or the provider took exactly so much less or more than it was asked for.
    pub(super) fn why_captured_otherwise(&self, total: i64) -> Option<&'static str> {
        let difference = self.captured() - i128::from(total);
        let as_found = difference == self.captured_otherwise;
        self.open().or_else(|| as_found.then_some("a discrepancy of this amount was found"))
    }

    /// What the log says that could make it differ from the provider's books.
    fn listed_break(&self) -> Option<&'static str> {
        self.discrepancy.then_some("a discrepancy was found").or_else(|| self.open())
    }

    fn take(&mut self, payment_id: PaymentId, event: &PaymentEvent, findings: &mut Findings) {
        match event {
            PaymentEvent::Authorized(event) => {
                self.authorized = Some(event.amount);
                self.open.remove(&Operation::Authorize);
            }
            PaymentEvent::Declined(_) => {
                self.open.remove(&Operation::Authorize);
                self.open.remove(&Operation::Void);
            }
            PaymentEvent::CaptureRequested(event) => {
                self.asked.insert(event.capture_id);
                self.open.insert(Operation::Capture { capture_id: event.capture_id });
            }
            PaymentEvent::Captured(event) => {
                let capture_id = event.capture_id;
                self.check_currency(payment_id, event.amount, findings);
                self.open.remove(&Operation::Capture { capture_id });
                if self.captures.insert(capture_id, event.amount.amount).is_some() {
                    findings.broken(Violation::CapturedTwice { payment_id, capture_id, times: 2 });
                }
                let captured = self.captured();
                let authorized = self.authorized.map_or(0, |held| i128::from(held.amount));
                if captured > authorized {
                    findings.broken(Violation::CapturedMoreThanAuthorized {
                        payment_id,
                        captured,
                        authorized,
                    });
                }
            }
            PaymentEvent::CaptureFailed(event) => {
                self.open.remove(&Operation::Capture { capture_id: event.capture_id });
            }
            PaymentEvent::VoidRequested(_) => {
                self.open.insert(Operation::Void);
            }
            PaymentEvent::Voided(_) => {
                self.voided = true;
                self.open.remove(&Operation::Void);
            }
            PaymentEvent::RefundRequested(event) => {
                self.open.insert(Operation::Refund { refund_id: event.refund_id });
            }
            PaymentEvent::Refunded(event) => {
                let refund_id = event.refund_id;
                self.check_currency(payment_id, event.amount, findings);
                self.open.remove(&Operation::Refund { refund_id });
                if self.refunds.insert(refund_id, event.amount.amount).is_some() {
                    findings.broken(Violation::RefundedTwice { payment_id, refund_id });
                }
                let (refunded, captured) = (self.refunded(), self.captured());
                if refunded > captured {
                    findings.broken(Violation::RefundedMoreThanCaptured { payment_id, refunded, captured });
                }
            }
            PaymentEvent::RefundFailed(event) => {
                self.open.remove(&Operation::Refund { refund_id: event.refund_id });
            }
            PaymentEvent::DiscrepancyFound(event) => self.take_discrepancy(event),
            PaymentEvent::AttentionRequired(event) => {
                self.told.insert(event.operation);
            }
            PaymentEvent::Requested(_) | PaymentEvent::OutcomeUnknown(_) => {}
        }
    }

    fn take_discrepancy(&mut self, event: &DiscrepancyFound) {
        self.discrepancy = true;
        if let Operation::Capture { capture_id } = event.operation
            && event.code == TOLD_EARLY
        {
            self.early.insert(capture_id);
        }
        if let (Operation::Capture { .. }, "amount_differs") = (event.operation, event.code.as_str())
            && let (Some(expected), Some(reported)) = (event.expected, event.reported)
        {
            self.captured_otherwise += i128::from(reported.amount) - i128::from(expected.amount);
        }
    }

    fn check_currency(&self, payment_id: PaymentId, moved: Money, findings: &mut Findings) {
        let expected = self.requested.currency;
        if moved.currency != expected {
            let found = moved.currency;
            findings.broken(Violation::MovedInOtherCurrency { payment_id, expected, found });
        }
    }

    fn compare(&self, book: &ProviderPayment, findings: &mut Findings) {
        let payment_id = book.payment_id;
        let comparisons = [(self.kept(), book.net()), (self.held(), book.held())];
        for (index, (ours, theirs)) in comparisons.into_iter().enumerate() {
            match self.listed_break() {
                _ if ours == theirs => {}
                Some(why) => findings.note(Note::ProviderBreak { payment_id, ours, theirs, why }),
                None if index == 0 => {
                    findings.broken(Violation::ClearingDiffers { payment_id, ours, theirs });
                }
                None => findings.broken(Violation::HeldDiffers { payment_id, ours, theirs }),
            }
        }
    }
}

impl ProviderPayment {
    /// What the provider took and did not give back.
    fn net(&self) -> i128 {
        i128::from(self.captured) - i128::from(self.refunded)
    }

    /// What the provider holds.
    fn held(&self) -> i128 {
        if self.voided || self.captured > 0 { 0 } else { i128::from(self.authorized) }
    }
}

fn check_captures(book: &ProviderPayment, account: Option<&Account>, findings: &mut Findings) {
    let payment_id = book.payment_id;
    let mut times: HashMap<CaptureId, usize> = HashMap::new();
    for capture in &book.captures {
        *times.entry(capture.capture_id).or_default() += 1;
        let (capture_id, amount) = (capture.capture_id, capture.amount);
        match account {
            Some(account) if account.asked.contains(&capture_id) => {}
            Some(account) if account.early.contains(&capture_id) => {
                findings.note(Note::CapturedEarly { payment_id, capture_id, amount });
            }
            Some(_) | None => {
                findings.broken(Violation::CapturedUnasked { payment_id, capture_id, amount });
            }
        }
    }
    for (capture_id, times) in times.into_iter().filter(|(_, times)| *times > 1) {
        findings.broken(Violation::CapturedTwice { payment_id, capture_id, times });
    }
    if let Some(Account { requested, .. }) = account {
        let captured = i128::from(book.captured);
        if captured > i128::from(requested.amount) {
            let ordered = requested.amount;
            findings.broken(Violation::CapturedMoreThanOrdered { payment_id, captured, ordered });
        }
    }
}

fn check_refunds(book: &ProviderPayment, findings: &mut Findings) {
    let (refunded, captured) = (i128::from(book.refunded), i128::from(book.captured));
    if refunded > captured {
        let payment_id = book.payment_id;
        findings.broken(Violation::RefundedMoreThanCaptured { payment_id, refunded, captured });
    }
}

fn payment_of(event: &PaymentEvent) -> PaymentId {
    match event {
        PaymentEvent::Requested(event) => event.payment_id,
        PaymentEvent::Authorized(event) => event.payment_id,
        PaymentEvent::Declined(event) => event.payment_id,
        PaymentEvent::OutcomeUnknown(event) => event.payment_id,
        PaymentEvent::CaptureRequested(event) => event.payment_id,
        PaymentEvent::Captured(event) => event.payment_id,
        PaymentEvent::CaptureFailed(event) => event.payment_id,
        PaymentEvent::VoidRequested(event) => event.payment_id,
        PaymentEvent::Voided(event) => event.payment_id,
        PaymentEvent::RefundRequested(event) => event.payment_id,
        PaymentEvent::Refunded(event) => event.payment_id,
        PaymentEvent::RefundFailed(event) => event.payment_id,
        PaymentEvent::DiscrepancyFound(event) => event.payment_id,
        PaymentEvent::AttentionRequired(event) => event.payment_id,
    }
}
