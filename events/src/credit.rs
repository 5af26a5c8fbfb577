//! Credit notes: money that the shop owes a customer, with or without a sale that it refers to.

use serde::{Deserialize, Serialize};

use crate::{
    codec::wire_events,
    ids::{CreditNoteId, CustomerId, Sku},
    money::{Money, UnitPrice},
};

wire_events! {
    /// What happened to a credit note.
    CreditEvent in Credit {
        /// The shop owes the customer.
        Issued(Issued) = "CreditNoteIssued" v 1,
    }
}

/// The shop owes the customer the total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The credit note.
    pub credit_note_id: CreditNoteId,
    /// Its number where it was issued.
    pub reference: String,
    /// Who is owed; absent for a guest.
    pub customer_id: Option<CustomerId>,
    /// At least one.
    pub lines: Vec<Line>,
    /// The sum of the lines: what is owed, positive.
    pub total: Money,
}

/// One line of a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is credited: a SKU, or the shop's code for a fee, a discount or postage.
    pub sku: Sku,
    /// How many, above zero.
    pub quantity: i64,
    /// What is credited for one.
    pub unit_price: UnitPrice,
    /// Quantity times price, rounded half up to the minor unit.
    pub amount: Money,
}
