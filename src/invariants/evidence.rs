//! What the log alone does not tell: the provider's own books, what clients and subscribers were told,
//! and how the read models compare with ones built from scratch.

use chrono::{DateTime, Utc};
use event_store::Position;
use events::{
    Currency,
    ids::{CaptureId, PaymentId},
    payment::Operation,
};
use sagas::gateway::sandbox::books::{Outcome, PaymentBook};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Violation, report::Findings};

/// Everything that a check is held against, besides the log.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The time now, which tells whether a deadline is live.
    pub now: DateTime<Utc>,
    /// The provider's books; without them I2 and I7 are not checked.
    pub provider: Option<Vec<ProviderPayment>>,
    /// What clients were told.
    pub acknowledged: Vec<Acknowledged>,
    /// Read models beside ones built from scratch; without them I8 is not checked.
    pub read_models: Option<Vec<ReadModel>>,
    /// Stored states of streams beside their histories, which are part of I8 where they are given.
    pub snapshots: Option<ComparedSnapshots>,
    /// What subscribers saw.
    pub subscribers: Vec<Subscriber>,
}

impl Evidence {
    /// Nothing but the log.
    pub fn log_only(now: DateTime<Utc>) -> Self {
        let (acknowledged, subscribers) = (vec![], vec![]);
        Self { now, provider: None, acknowledged, read_models: None, snapshots: None, subscribers }
    }
}

/// What the provider's books say of one payment. Amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderPayment {
    /// The payment, by our id.
    pub payment_id: PaymentId,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// Ever authorized.
    pub authorized: i64,
    /// Taken.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
    /// Whether the authorization was given up.
    pub voided: bool,
    /// Each successful capture.
    pub captures: Vec<ProviderCapture>,
}

/// A successful capture in the provider's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderCapture {
    /// The capture, by our id.
    pub capture_id: CaptureId,
    /// Minor units.
    pub amount: i64,
}

impl From<&PaymentBook> for ProviderPayment {
    fn from(book: &PaymentBook) -> Self {
        let captures = book.operations.values().filter_map(|entry| match (entry.operation, &entry.outcome) {
            (Operation::Capture { capture_id }, Outcome::Approved { amount }) => {
                Some(ProviderCapture { capture_id, amount: amount.amount })
            }
            (
                Operation::Authorize | Operation::Capture { .. } | Operation::Void | Operation::Refund { .. },
                Outcome::NotYet
                | Outcome::Pending { .. }
                | Outcome::Approved { .. }
                | Outcome::Declined { .. },
            ) => None,
        });
        Self {
            payment_id: book.payment_id,
            currency: book.currency,
            authorized: book.authorized,
            captured: book.captured,
            refunded: book.refunded,
            voided: book.voided,
            captures: captures.collect(),
        }
    }
}

/// A command was acknowledged: a client was told that it is in the log, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The stream that it was about, for example `order-…`.
    pub stream: String,
    /// The position that the answer carried.
    pub position: Position,
    /// The command, where the client knows its id and it changed something.
    #[serde(default)]
    pub command_id: Option<Uuid>,
}

/// What a subscriber to everything was given, in the order in which it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// Who it is.
    pub name: String,
    /// The position behind which it began.
    pub after: Position,
    /// The position that it had time to come to, at least.
    pub upto: Position,
    /// Each position that it was given.
    pub seen: Vec<Position>,
}

/// A read model compared row by row with one built from scratch at the same position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadModel {
    /// Its name.
    pub projection: String,
    /// The position that both reflect.
    pub position: Position,
    /// How many rows were compared.
    pub rows: u64,
    /// The rows that differ: table and key.
    pub differing: Vec<String>,
}

impl ReadModel {
    pub(super) fn compare(&self, findings: &mut Findings) {
        for row in &self.differing {
            findings.broken(Violation::ReadModelDiffers {
                projection: self.projection.clone(),
                position: self.position,
                row: row.clone(),
            });
        }
    }
}

/// Stored states of streams compared with what their histories come to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComparedSnapshots {
    /// How many were compared.
    pub compared: u64,
    /// The streams of those that differ.
    pub differing: Vec<String>,
}

impl ComparedSnapshots {
    pub(super) fn compare(&self, findings: &mut Findings) {
        for stream in &self.differing {
            findings.broken(Violation::SnapshotDiffers { stream: stream.clone() });
        }
    }
}

pub(super) fn summary(models: &[ReadModel], snapshots: Option<&ComparedSnapshots>) -> String {
    let rows: u64 = models.iter().map(|model| model.rows).sum();
    let snapshots = snapshots.map(|snapshots| format!(", {} snapshots", snapshots.compared));
    format!("{rows} rows of {} read models{}", models.len(), snapshots.unwrap_or_default())
}
