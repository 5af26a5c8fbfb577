//! The vocabulary: money to the last minor unit, names and ids, sealed values, and the wire form of every
//! event version that was ever written.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "vocabulary/envelope.rs"]
mod envelope;
#[path = "vocabulary/fixtures.rs"]
mod fixtures;
#[path = "vocabulary/money.rs"]
mod money;
#[path = "vocabulary/names.rs"]
mod names;
#[path = "vocabulary/sealed.rs"]
mod sealed;
#[path = "vocabulary/unit_price.rs"]
mod unit_price;
