//! The invariants of Counterfoil, checked over a whole history from outside: this reads the log as an
//! auditor would, counts by itself, and believes neither deciders nor read models.
//!
//! **What cannot be checked is said to be unchecked, never held.** The provider's books, what clients
//! were told and the comparison of read models come from elsewhere and may be absent.

mod acknowledgements;
mod evidence;
mod finality;
mod log_order;
mod payments;
mod postings;
mod report;
mod stock;
mod violation;

use event_store::{EventStore, Filter, Numbering, Position, RecordedEvent, StoreError, read_to_end};
use futures::TryStreamExt;
use projections::Fact;

pub use evidence::{
    Acknowledged, ComparedSnapshots, Evidence, ProviderCapture, ProviderPayment, ReadModel, Subscriber,
};
pub use postings::Balance;
pub use report::{Check, Invariant, Note, Report, Verdict};
pub use violation::Violation;

use report::Findings;

/// Reads the log up to its present end and checks every invariant that the evidence allows.
pub async fn check(store: &dyn EventStore, evidence: &Evidence) -> Result<Report, StoreError> {
    let head = store.head().await?;
    let mut checker = Checker::new(evidence, store.numbering());
    let filter = Filter::all();
    let mut pages = read_to_end(store, Position::START, &filter);
    while let Some(page) = pages.try_next().await? {
        for recorded in page.events.iter().filter(|recorded| recorded.position <= head) {
            checker.take(recorded);
        }
        if page.scanned >= head {
            break;
        }
    }
    Ok(checker.finish(head))
}

#[derive(Debug)]
struct Checker<'a> {
    evidence: &'a Evidence,
    findings: Findings,
    log_order: log_order::LogOrder,
    acknowledgements: acknowledgements::Acknowledgements<'a>,
    stock: stock::Stock,
    payments: payments::Payments,
    postings: postings::Postings,
    finality: finality::Finality,
}

impl<'a> Checker<'a> {
    fn new(evidence: &'a Evidence, numbering: Numbering) -> Self {
        Self {
            evidence,
            findings: Findings::default(),
            log_order: log_order::LogOrder::new(numbering),
            acknowledgements: acknowledgements::Acknowledgements::new(&evidence.acknowledged),
            stock: stock::Stock::default(),
            payments: payments::Payments::default(),
            postings: postings::Postings::default(),
            finality: finality::Finality::default(),
        }
    }

    fn take(&mut self, recorded: &RecordedEvent) {
        let findings = &mut self.findings;
        self.log_order.take(recorded, findings);
        self.acknowledgements.take(recorded, findings);
        match Fact::read(recorded) {
            Err(unreadable) => findings.note(Note::Unreadable {
                position: recorded.position,
                stream: recorded.stream.to_string(),
                reason: unreadable.to_string(),
            }),
            Ok(fact) => {
                self.stock.take(&fact, findings);
                self.payments.take(&fact, findings);
                self.postings.take(&fact, findings);
                self.finality.take(&fact);
            }
        }
    }

    fn finish(mut self, head: Position) -> Report {
        let (evidence, findings) = (self.evidence, &mut self.findings);
        let events = self.log_order.finish(head, &evidence.subscribers, findings);
        self.acknowledgements.finish(findings);
        self.finality.finish(evidence.now, &self.stock, &self.payments, findings);
        self.payments.finish(evidence.provider.as_deref(), findings);
        let balances = self.postings.finish(findings);
        for read_model in evidence.read_models.iter().flatten() {
            read_model.compare(findings);
        }
        if let Some(snapshots) = &evidence.snapshots {
            snapshots.compare(findings);
        }
        let provider = evidence.provider.as_ref();
        let looked_at = |invariant| match invariant {
            Invariant::I1 => Some(self.stock.summary()),
            Invariant::I2 | Invariant::I7 => {
                provider.map(|books| format!("{} payments of the provider", books.len()))
            }
            Invariant::I3 => Some(self.payments.summary()),
            Invariant::I4 => Some(self.acknowledgements.summary()),
            Invariant::I5 => Some(self.finality.summary()),
            Invariant::I6 => Some(self.postings.summary()),
            Invariant::I8 => {
                let models = evidence.read_models.as_deref();
                models.map(|models| evidence::summary(models, evidence.snapshots.as_ref()))
            }
            Invariant::I9 => Some(format!("{events} events, {} subscribers", evidence.subscribers.len())),
        };
        let checks = Invariant::ALL.map(|invariant| (invariant, looked_at(invariant)));
        self.findings.into_report(head, events, checks, balances)
    }
}

#[cfg(test)]
mod tests;
