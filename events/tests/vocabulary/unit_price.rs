//! Prices in thousandths of a minor unit: their wire form, and the one place where they are rounded.

use events::{
    Currency, Money, UnitPrice,
    money::{InvalidUnitPrice, MoneyError},
};
use proptest::prelude::*;

fn pounds(thousandths: i64) -> UnitPrice {
    UnitPrice::from_thousandths(thousandths, Currency::GBP).unwrap()
}

#[test]
fn a_price_in_whole_minor_units_looks_like_money() {
    let json = r#"{"amount":255,"currency":"GBP"}"#;
    assert_eq!(serde_json::to_string(&pounds(255_000)).unwrap(), json);
    assert_eq!(serde_json::from_str::<UnitPrice>(json).unwrap(), pounds(255_000));
}

#[test]
fn thousandths_are_written_only_where_there_are_any() {
    let json = r#"{"amount":0,"thousandths":100,"currency":"GBP"}"#;
    assert_eq!(serde_json::to_string(&pounds(100)).unwrap(), json);
    assert_eq!(serde_json::from_str::<UnitPrice>(json).unwrap(), pounds(100));
}

#[test]
fn what_is_no_price_is_not_read_as_one() {
    for (wrong, why) in [
        (r#"{"amount":-1,"currency":"GBP"}"#, InvalidUnitPrice::Negative),
        (r#"{"amount":-1,"thousandths":999,"currency":"GBP"}"#, InvalidUnitPrice::Negative),
        (r#"{"amount":0,"thousandths":1000,"currency":"GBP"}"#, InvalidUnitPrice::Thousandths),
        (r#"{"amount":9223372036854775807,"currency":"GBP"}"#, InvalidUnitPrice::TooLarge),
    ] {
        let error = serde_json::from_str::<UnitPrice>(wrong).unwrap_err();
        assert!(error.to_string().starts_with(&why.to_string()), "{wrong}: {error}");
    }
}

#[test]
fn prices_are_made_of_what_can_be_a_price() {
    assert_eq!(UnitPrice::from_thousandths(-1, Currency::GBP), Err(InvalidUnitPrice::Negative));
    assert_eq!(UnitPrice::from_minor(-1, Currency::GBP), Err(InvalidUnitPrice::Negative));
    assert_eq!(UnitPrice::from_minor(i64::MAX, Currency::GBP), Err(InvalidUnitPrice::TooLarge));
    assert_eq!(UnitPrice::from_minor(255, Currency::GBP), Ok(pounds(255_000)));
}

#[test]
fn a_price_becomes_money_rounded_half_up() {
    for (thousandths, quantity, minor_units) in [
        (255_000, 6, 1530),
        (100, 4, 0),
        (100, 5, 1),
        (499, 1, 0),
        (500, 1, 1),
        (1_500, 1, 2),
        (2_500, 1, 3),
        (500, -1, -1),
        (499, -1, 0),
        (1_000, 0, 0),
    ] {
        assert_eq!(
            pounds(thousandths).times(quantity),
            Ok(Money::new(minor_units, Currency::GBP)),
            "{thousandths} times {quantity}"
        );
    }
}

#[test]
fn a_price_that_becomes_more_than_can_be_counted_is_refused() {
    assert_eq!(pounds(i64::MAX).times(i64::MAX), Err(MoneyError::Overflow));
    assert_eq!(pounds(i64::MAX).times(i64::MIN), Err(MoneyError::Overflow));
    assert_eq!(pounds(1000).times(i64::MAX), Ok(Money::new(i64::MAX, Currency::GBP)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_price_survives_the_wire(thousandths in 0..=i64::MAX) {
        let json = serde_json::to_string(&pounds(thousandths)).unwrap();
        prop_assert_eq!(serde_json::from_str::<UnitPrice>(&json).unwrap(), pounds(thousandths));
    }

    #[test]
    fn what_is_rounded_away_is_at_most_half_a_minor_unit(
        thousandths in 0..1_000_000_i64,
        quantity in 0..1_000_000_i64,
    ) {
        let exact = thousandths * quantity;
        let rounded = pounds(thousandths).times(quantity).unwrap().amount * 1000;
        prop_assert!(rounded - exact <= 500 && exact - rounded < 500);
    }
}
