//! Credit notes, and with them the lines that orders share.

use domain::{
    Decider,
    credit::{Command, CreditNote, Refusal},
    lines::Fault,
};
use events::{
    Currency, UnitPrice,
    credit::{CreditEvent, Issued, Line},
    ids::CreditNoteId,
};

use crate::scenario::{eur, gbp, given, id, price, sku};

fn line(text: &str, quantity: i64, pence: i64) -> Line {
    Line { sku: sku(text), quantity, unit_price: price(pence), amount: gbp(quantity.saturating_mul(pence)) }
}

fn issue(lines: Vec<Line>) -> Command {
    Command::Issue {
        credit_note_id: CreditNoteId(id(1)),
        reference: "C1".to_owned(),
        customer_id: None,
        lines,
    }
}

fn issued(lines: Vec<Line>, total: i64) -> CreditEvent {
    CreditEvent::Issued(Issued {
        credit_note_id: CreditNoteId(id(1)),
        reference: "C1".to_owned(),
        customer_id: None,
        lines,
        total: gbp(total),
    })
}

#[test]
fn a_credit_note_owes_the_sum_of_its_lines() {
    let lines = vec![line("MUG", 2, 250), line("MUG", 1, 240)];
    given::<CreditNote>([]).when(issue(lines.clone())).then([issued(lines, 740)]);
}

#[test]
fn issuing_the_same_again_is_nothing() {
    let lines = vec![line("MUG", 2, 250)];
    given::<CreditNote>([issued(lines.clone(), 500)]).when(issue(lines)).then_nothing();
}

#[test]
fn a_credit_note_is_not_issued_otherwise() {
    given::<CreditNote>([issued(vec![line("MUG", 2, 250)], 500)])
        .when(issue(vec![line("MUG", 3, 250)]))
        .then_refused(&Refusal::IssuedOtherwise { credit_note_id: CreditNoteId(id(1)) });
}

#[track_caller]
fn refused(lines: Vec<Line>, fault: Fault) {
    given::<CreditNote>([]).when(issue(lines)).then_refused(&Refusal::Lines(fault));
}

#[test]
fn there_is_at_least_one_line() {
    refused(vec![], Fault::NoLines);
}

#[test]
fn a_quantity_is_above_zero() {
    for quantity in [0, -1, i64::MIN] {
        refused(vec![line("MUG", quantity, 250)], Fault::QuantityNotPositive { sku: sku("MUG"), quantity });
    }
}

#[test]
fn all_lines_are_of_one_currency() {
    let mut foreign = line("CUP", 1, 250);
    foreign.unit_price = UnitPrice::from_minor(250, Currency::EUR).unwrap();
    foreign.amount = eur(250);
    refused(
        vec![line("MUG", 1, 250), foreign],
        Fault::CurrencyDiffers { sku: sku("CUP"), expected: Currency::GBP, found: Currency::EUR },
    );
}

#[test]
fn an_amount_is_price_times_quantity_to_the_minor_unit() {
    for wrong in [gbp(499), gbp(501), eur(500)] {
        let mut line = line("MUG", 2, 250);
        line.amount = wrong;
        let fault = Fault::AmountDiffers { sku: sku("MUG"), given: wrong, computed: gbp(500) };
        refused(vec![line], fault);
    }
}

#[test]
fn a_fraction_of_a_penny_is_rounded_half_up() {
    let unit_price = UnitPrice::from_thousandths(500, Currency::GBP).unwrap();
    let line = Line { sku: sku("PIN"), quantity: 3, unit_price, amount: gbp(2) };
    given::<CreditNote>([]).when(issue(vec![line.clone()])).then([issued(vec![line], 2)]);
}

#[test]
fn neither_an_amount_nor_the_sum_outgrows_64_bits() {
    refused(vec![line("MUG", i64::MAX, 2)], Fault::TotalTooLarge { sku: sku("MUG") });
    refused(vec![line("MUG", i64::MAX, 1), line("CUP", 1, 1)], Fault::TotalTooLarge { sku: sku("CUP") });
}

#[test]
fn a_note_issued_twice_is_corrupt() {
    let issued = issued(vec![line("MUG", 1, 1)], 1);
    assert!(CreditNote::replay(&[issued.clone(), issued]).is_err());
}
