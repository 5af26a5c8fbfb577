//! What a check came to: for each invariant whether it held, with the evidence where it did not, and
//! what is no violation but should be seen by a person.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use event_store::Position;
use events::ids::{CaptureId, OrderId, PaymentId};
use serde::Serialize;

use super::{Balance, Violation};

/// How many violations of one invariant are kept; more are only counted.
const VIOLATIONS_KEPT: usize = 50;

/// An invariant that is checked over the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs, reason = "`rule` says what each is")]
pub enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 9] =
        [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I6, Self::I7, Self::I8, Self::I9];

    /// What is never otherwise.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::I1 => "no SKU is oversold",
            Self::I2 => "no order is charged twice in the provider's books",
            Self::I3 => "refunds never exceed captures, nor captures authorizations",
            Self::I4 => "every acknowledged command is in the log, exactly once",
            Self::I5 => "every order is in a final state or owned by a live deadline",
            Self::I6 => "postings sum to zero per currency and transaction",
            Self::I7 => "the provider's books equal the clearing account plus listed breaks",
            Self::I8 => "every read model and every snapshot equals one built from scratch",
            Self::I9 => "the log is whole and in order, and every subscriber saw it so",
        }
    }
}

/// Whether an invariant held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was looked at keeps it.
    Held,
    /// Something does not.
    Broken,
    /// What it is held against was not there.
    NotChecked,
}

/// One invariant in a report.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Which.
    pub invariant: Invariant,
    /// What is never otherwise.
    pub rule: &'static str,
    /// Whether it held.
    pub verdict: Verdict,
    /// What was looked at.
    pub looked_at: Option<String>,
    /// How many violations were found.
    pub violations_total: usize,
    /// The first of them.
    pub violations: Vec<Violation>,
}

/// Something that a person should see and that breaks no invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// Not finished, and it need not be yet.
    #[error("order {order_id} is {state} until {deadline}")]
    OwnedByDeadline {
        /// The order.
        order_id: OrderId,
        /// What it is.
        state: &'static str,
        /// When it is given up.
        deadline: DateTime<Utc>,
    },
    /// Not finished, and a person has been told.
    #[error("order {order_id} is {state} and waits for a person")]
    WaitsForPerson {
        /// The order.
        order_id: OrderId,
        /// What it is.
        state: &'static str,
    },
    /// Would break an invariant, if something were not open still that may put it right.
    #[error("{excused} ({why})")]
    Excused {
        /// What is not as it should be.
        excused: Violation,
        /// What the log says of it.
        why: &'static str,
    },
    /// Our books and the provider's differ over a payment, and the log says why.
    #[error("payment {payment_id}: we count {ours} minor units, the provider {theirs} ({why})")]
    ProviderBreak {
        /// The payment.
        payment_id: PaymentId,
        /// What the clearing account has of it.
        ours: i128,
        /// What the provider has of it.
        theirs: i128,
        /// What the log says of it.
        why: &'static str,
    },
    /// The provider took money that we had not asked for yet. It said so before it said that it held any,
    /// and the log lists it.
    #[error("payment {payment_id}: the provider made capture {capture_id} of {amount} before we asked")]
    CapturedEarly {
        /// The payment.
        payment_id: PaymentId,
        /// The capture.
        capture_id: CaptureId,
        /// Minor units.
        amount: i64,
    },
    /// An event that this release cannot read.
    #[error("the event at {position} of {stream} cannot be read: {reason}")]
    Unreadable {
        /// Where it is.
        position: Position,
        /// Its stream.
        stream: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a check of the whole history came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// No invariant is broken. One that was not checked is not broken.
    pub held: bool,
    /// The history was checked up to here.
    pub position: Position,
    /// How many events that are.
    pub events: u64,
    /// Each invariant, in order.
    pub checks: Vec<Check>,
    /// What a person should see.
    pub notes: Vec<Note>,
    /// The balance of each account that the postings come to.
    pub balances: Vec<Balance>,
}

impl Report {
    /// What was found about one invariant.
    pub fn of(&self, invariant: Invariant) -> Option<&Check> {
        self.checks.iter().find(|check| check.invariant == invariant)
    }
}

impl fmt::Display for Report {
    /// A line for each invariant, its violations below it, and the notes at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let verdict = match check.verdict {
                Verdict::Held => "held",
                Verdict::Broken => "BROKEN",
                Verdict::NotChecked => "not checked",
            };
            write!(f, "{:?}  {verdict:<11}  {}", check.invariant, check.rule)?;
            if let Some(looked_at) = &check.looked_at {
                write!(f, " ({looked_at})")?;
            }
            writeln!(f)?;
            for violation in &check.violations {
                writeln!(f, "      - {violation}")?;
            }
            if check.violations_total > check.violations.len() {
                writeln!(f, "      - and {} more", check.violations_total - check.violations.len())?;
            }
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// What the parts of the check find as they go.
#[derive(Debug, Default)]
pub(super) struct Findings {
    broken: BTreeMap<Invariant, (usize, Vec<Violation>)>,
    notes: Vec<Note>,
}

impl Findings {
    pub(super) fn broken(&mut self, violation: Violation) {
        let (total, kept) = self.broken.entry(violation.invariant()).or_default();
        *total += 1;
        if kept.len() < VIOLATIONS_KEPT {
            kept.push(violation);
        }
    }

    /// A violation, unless something explains it; what is explained is noted.
    pub(super) fn broken_unless(&mut self, why: Option<&'static str>, violation: Violation) {
        match why {
            Some(why) => self.note(Note::Excused { excused: violation, why }),
            None => self.broken(violation),
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Each invariant comes with what was looked at; without it, it was not checked.
    pub(super) fn into_report(
        mut self,
        position: Position,
        events: u64,
        looked_at: [(Invariant, Option<String>); 9],
        balances: Vec<Balance>,
    ) -> Report {
        let held = self.broken.is_empty();
        let checks = looked_at.map(|(invariant, looked_at)| {
            let (violations_total, violations) = self.broken.remove(&invariant).unwrap_or_default();
            let verdict = match (violations_total, &looked_at) {
                (0, Some(_)) => Verdict::Held,
                (0, None) => Verdict::NotChecked,
                (1.., _) => Verdict::Broken,
            };
            Check { invariant, rule: invariant.rule(), verdict, looked_at, violations_total, violations }
        });
        Report { held, position, events, checks: checks.into(), notes: self.notes, balances }
    }
}
