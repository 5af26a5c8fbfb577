//! The rules of a credit note: issued once, its amounts add up.

use events::{
    credit::Line,
    ids::{CreditNoteId, CustomerId},
};

/// What somebody wants done to a credit note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The shop owes the customer the sum of the lines.
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
