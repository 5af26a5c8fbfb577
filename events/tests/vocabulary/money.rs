//! Money: minor units, exponents of ISO 4217, and arithmetic that refuses rather than be wrong.

use events::{
    Currency, Money,
    money::{MoneyError, UnknownCurrency},
};
use proptest::{collection::vec, prelude::*};

fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

fn currency(code: &str) -> Currency {
    code.parse().unwrap()
}

#[test]
fn money_is_an_amount_and_a_code_on_the_wire() {
    let json = r#"{"amount":1999,"currency":"GBP"}"#;
    assert_eq!(serde_json::to_string(&gbp(1999)).unwrap(), json);
    assert_eq!(serde_json::from_str::<Money>(json).unwrap(), gbp(1999));
}

#[test]
fn money_has_no_fractions_of_a_minor_unit_on_the_wire() {
    for wrong in [
        r#"{"amount":19.99,"currency":"GBP"}"#,
        r#"{"amount":"1999","currency":"GBP"}"#,
        r#"{"amount":9223372036854775808,"currency":"GBP"}"#,
        r#"{"amount":1999}"#,
        r#"{"amount":1999,"currency":"gbp"}"#,
    ] {
        assert!(serde_json::from_str::<Money>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_codes_of_iso_4217_are_currencies() {
    for code in ["GBP", "EUR", "USD", "JPY", "KWD", "ZWG", "AED"] {
        assert_eq!(currency(code).code(), code);
    }
    for code in ["", "gbp", "GB", "GBPX", "XXX", "ABC", "£"] {
        assert_eq!(code.parse::<Currency>(), Err(UnknownCurrency { code: code.to_owned() }));
    }
}

#[test]
fn a_named_currency_is_the_one_in_the_list() {
    for named in [Currency::GBP, Currency::EUR, Currency::USD, Currency::JPY, Currency::KWD] {
        assert_eq!(named, currency(named.code()));
        assert_eq!(named.exponent(), currency(named.code()).exponent());
    }
}

#[test]
fn minor_units_are_as_small_as_iso_4217_says() {
    for (code, exponent) in
        [("JPY", 0), ("ISK", 0), ("GBP", 2), ("MGA", 2), ("KWD", 3), ("TND", 3), ("CLF", 4), ("UYW", 4)]
    {
        assert_eq!(currency(code).exponent(), exponent, "{code}");
    }
}

#[test]
fn money_is_shown_with_the_decimal_places_of_its_currency() {
    for (amount, code, shown) in [
        (1999, "GBP", "19.99 GBP"),
        (5, "GBP", "0.05 GBP"),
        (0, "GBP", "0.00 GBP"),
        (-5, "GBP", "-0.05 GBP"),
        (1999, "JPY", "1999 JPY"),
        (-1, "JPY", "-1 JPY"),
        (1999, "KWD", "1.999 KWD"),
        (1, "CLF", "0.0001 CLF"),
        (i64::MIN, "GBP", "-92233720368547758.08 GBP"),
        (i64::MAX, "GBP", "92233720368547758.07 GBP"),
    ] {
        assert_eq!(Money::new(amount, currency(code)).to_string(), shown);
    }
}

#[test]
fn arithmetic_stays_within_64_bits_or_is_refused() {
    assert_eq!(gbp(2).checked_add(gbp(3)), Ok(gbp(5)));
    assert_eq!(gbp(2).checked_sub(gbp(3)), Ok(gbp(-1)));
    assert_eq!(gbp(-2).checked_mul(3), Ok(gbp(-6)));
    assert_eq!(gbp(i64::MAX).checked_add(gbp(1)), Err(MoneyError::Overflow));
    assert_eq!(gbp(i64::MIN).checked_sub(gbp(1)), Err(MoneyError::Overflow));
    assert_eq!(gbp(i64::MIN).checked_mul(-1), Err(MoneyError::Overflow));
}

#[test]
fn currencies_are_not_mixed() {
    let yen = Money::new(1, Currency::JPY);
    let mixed = Err(MoneyError::CurrencyMismatch { left: Currency::GBP, right: Currency::JPY });
    assert_eq!(gbp(1).checked_add(yen), mixed);
    assert_eq!(gbp(1).checked_sub(yen), mixed);
    assert_eq!(Money::sum(Currency::GBP, [gbp(1), yen]), mixed);
}

#[test]
fn a_sum_of_nothing_is_nothing_of_its_currency() {
    assert_eq!(Money::sum(Currency::JPY, []), Ok(Money::zero(Currency::JPY)));
    assert_eq!(Money::sum(Currency::GBP, [gbp(1), gbp(-3), gbp(10)]), Ok(gbp(8)));
}

#[track_caller]
fn shared_out(amount: i64, weights: &[u64], shares: &[i64]) {
    let expected: Vec<_> = shares.iter().map(|share| gbp(*share)).collect();
    assert_eq!(gbp(amount).allocate(weights), Ok(expected));
}

#[test]
fn what_rounding_leaves_over_goes_to_the_largest_remainders() {
    shared_out(100, &[1, 1, 1], &[34, 33, 33]);
    shared_out(101, &[1, 1, 1], &[34, 34, 33]);
    // The exact shares are 16.67, 33.33 and 50: the first has the largest remainder.
    shared_out(100, &[1, 2, 3], &[17, 33, 50]);
    shared_out(5, &[3, 7], &[2, 3]);
    shared_out(1, &[0, 1, 0], &[0, 1, 0]);
    shared_out(0, &[1, 2], &[0, 0]);
    shared_out(i64::MIN, &[1], &[i64::MIN]);
}

#[test]
fn nothing_can_be_shared_out_over_no_weights() {
    assert_eq!(gbp(1).allocate(&[]), Err(MoneyError::NoWeights));
    assert_eq!(gbp(1).allocate(&[0, 0]), Err(MoneyError::NoWeights));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shares_sum_to_the_whole_and_are_within_a_unit_of_exact(
        amount in prop_oneof![any::<i64>(), -1000..1000_i64],
        weights in vec(prop_oneof![Just(0_u64), 1..10_u64, any::<u64>(), Just(u64::MAX)], 1..20),
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let shares = gbp(amount).allocate(&weights).unwrap();
        prop_assert_eq!(shares.len(), weights.len());
        let sum: i128 = shares.iter().map(|share| i128::from(share.amount)).sum();
        prop_assert_eq!(sum, i128::from(amount));

        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        for (share, weight) in shares.iter().zip(&weights) {
            let exact = i128::from(amount) * i128::from(*weight);
            let (floor, remainder) = (exact.div_euclid(total), exact.rem_euclid(total));
            let ceiling = floor + i128::from(remainder > 0);
            prop_assert!((floor..=ceiling).contains(&i128::from(share.amount)));
        }
    }

    #[test]
    fn giving_back_undoes_taking_to_the_unit(
        amount in -10_000..10_000_i64,
        weights in vec(0..10_u64, 1..10),
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let taken = gbp(amount).allocate(&weights).unwrap();
        let given = gbp(-amount).allocate(&weights).unwrap();
        for (taken, given) in taken.iter().zip(&given) {
            prop_assert_eq!(taken.amount, -given.amount);
        }
    }
}
