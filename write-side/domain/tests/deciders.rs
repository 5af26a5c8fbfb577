//! Every command and every refusal of every decider, told as given, when and then; and the laws that
//! hold for any sequence of commands.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "deciders/catalog.rs"]
mod catalog;
#[path = "deciders/credit.rs"]
mod credit;
#[path = "deciders/inventory.rs"]
mod inventory;
#[path = "deciders/laws.rs"]
mod laws;
#[path = "deciders/ledger.rs"]
mod ledger;
#[path = "deciders/order.rs"]
mod order;
#[path = "deciders/payment.rs"]
mod payment;
#[path = "deciders/scenario.rs"]
mod scenario;
