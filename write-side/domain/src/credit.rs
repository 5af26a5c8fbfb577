//! The rules of a credit note: issued once, its amounts add up.

use events::{
    DomainEvent,
    credit::{CreditEvent, Issued, Line},
    ids::{CreditNoteId, CustomerId},
};

use crate::{
    Corrupt, Decider,
    lines::{self, Fault},
};

/// What somebody wants done to a credit note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The shop owes the customer the sum of the lines. An exact repeat is nothing.
    Issue {
        /// The credit note.
        credit_note_id: CreditNoteId,
        /// Its number where it was issued.
        reference: String,
        /// Who is owed.
        customer_id: Option<CustomerId>,
        /// At least one, all of one currency.
        lines: Vec<Line>,
    },
}

/// The rule that was in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lines do not add up.
    #[error(transparent)]
    Lines(#[from] Fault),
    /// A note of this id was issued with other content.
    #[error("credit note {credit_note_id} was issued otherwise already")]
    IssuedOtherwise {
        /// The credit note.
        credit_note_id: CreditNoteId,
    },
}

/// What the next decision about a credit note needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CreditNote {
    /// Never issued.
    #[default]
    Unissued,
    /// Issued, and never changed after.
    Issued(Issued),
}

impl Decider for CreditNote {
    type Command = Command;
    type Event = CreditEvent;
    type Refusal = Refusal;

    fn decide(&self, command: &Command) -> Result<Vec<CreditEvent>, Refusal> {
        let Command::Issue { credit_note_id, reference, customer_id, lines } = command;
        let issued = Issued {
            credit_note_id: *credit_note_id,
            reference: reference.clone(),
            customer_id: *customer_id,
            total: lines::total(lines)?,
            lines: lines.clone(),
        };
        match self {
            Self::Unissued => Ok(vec![CreditEvent::Issued(issued)]),
            Self::Issued(known) if *known == issued => Ok(vec![]),
            Self::Issued(_) => Err(Refusal::IssuedOtherwise { credit_note_id: *credit_note_id }),
        }
    }

    fn evolve(self, event: &CreditEvent) -> Result<Self, Corrupt> {
        let CreditEvent::Issued(issued) = event;
        match self {
            Self::Unissued => Ok(Self::Issued(issued.clone())),
            Self::Issued(_) => {
                Err(Corrupt { event: event.wire_name(), state: "a credit note that was issued" })
            }
        }
    }
}
