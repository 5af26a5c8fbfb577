//! Adjustments in the books.

use domain::{
    Decider,
    ledger::{Command, LedgerAdjustment, Refusal},
};
use events::{
    ids::LedgerAdjustmentId,
    ledger::{Adjusted, LedgerEvent},
};

use crate::scenario::{gbp, given, id};

fn adjust(pence: i64) -> Command {
    Command::Adjust {
        adjustment_id: LedgerAdjustmentId(id(1)),
        reference: "A1".to_owned(),
        amount: gbp(pence),
        reason: "bad debt".to_owned(),
    }
}

fn adjusted(pence: i64) -> LedgerEvent {
    LedgerEvent::Adjusted(Adjusted {
        adjustment_id: LedgerAdjustmentId(id(1)),
        reference: "A1".to_owned(),
        amount: gbp(pence),
        reason: "bad debt".to_owned(),
    })
}

#[test]
fn an_adjustment_is_made_with_its_sign() {
    given::<LedgerAdjustment>([]).when(adjust(-1_106_206)).then([adjusted(-1_106_206)]);
}

#[test]
fn making_the_same_again_is_nothing() {
    given::<LedgerAdjustment>([adjusted(5)]).when(adjust(5)).then_nothing();
}

#[test]
fn an_adjustment_is_not_made_otherwise() {
    given::<LedgerAdjustment>([adjusted(5)])
        .when(adjust(6))
        .then_refused(&Refusal::AdjustedOtherwise { adjustment_id: LedgerAdjustmentId(id(1)) });
}

#[test]
fn an_adjustment_of_nothing_is_refused() {
    given::<LedgerAdjustment>([])
        .when(adjust(0))
        .then_refused(&Refusal::AmountIsZero { adjustment_id: LedgerAdjustmentId(id(1)) });
}

#[test]
fn an_adjustment_made_twice_is_corrupt() {
    assert!(LedgerAdjustment::replay(&[adjusted(5), adjusted(5)]).is_err());
}
