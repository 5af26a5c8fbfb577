//! The catalog, command by command.

use domain::{
    Decider,
    catalog::{Command, Product, Refusal},
};
use events::{
    Currency, UnitPrice,
    catalog::{CatalogEvent, Listed, Repriced, Withdrawn},
};

use crate::scenario::{given, price, sku};

fn euros(cents: i64) -> UnitPrice {
    UnitPrice::from_minor(cents, Currency::EUR).unwrap()
}

fn list(title: &str, prices: &[UnitPrice]) -> Command {
    Command::List { sku: sku("MUG"), title: title.to_owned(), prices: prices.to_vec() }
}

fn listed(title: &str, prices: &[UnitPrice]) -> CatalogEvent {
    CatalogEvent::Listed(Listed { sku: sku("MUG"), title: title.to_owned(), prices: prices.to_vec() })
}

fn reprice(price: UnitPrice) -> Command {
    Command::Reprice { sku: sku("MUG"), price }
}

fn repriced(price: UnitPrice) -> CatalogEvent {
    CatalogEvent::Repriced(Repriced { sku: sku("MUG"), price })
}

fn withdraw(reason: &str) -> Command {
    Command::Withdraw { sku: sku("MUG"), reason: reason.to_owned() }
}

fn withdrawn(reason: &str) -> CatalogEvent {
    CatalogEvent::Withdrawn(Withdrawn { sku: sku("MUG"), reason: reason.to_owned() })
}

#[test]
fn a_product_is_listed_with_a_price_per_currency() {
    given::<Product>([])
        .when(list("A mug", &[price(250), euros(300)]))
        .then([listed("A mug", &[price(250), euros(300)])]);
}

#[test]
fn listing_the_same_again_is_nothing_whatever_the_order_of_its_prices() {
    given::<Product>([listed("A mug", &[price(250), euros(300)])])
        .when(list("A mug", &[euros(300), price(250)]))
        .then_nothing();
}

#[test]
fn a_listed_product_is_not_listed_otherwise() {
    for otherwise in [list("A cup", &[price(250)]), list("A mug", &[price(251)])] {
        given::<Product>([listed("A mug", &[price(250)])])
            .when(otherwise)
            .then_refused(&Refusal::ListedOtherwise { sku: sku("MUG") });
    }
}

#[test]
fn a_withdrawn_product_may_be_listed_again() {
    given::<Product>([listed("A mug", &[price(250)]), withdrawn("broken")])
        .when(list("A mug", &[price(200)]))
        .then([listed("A mug", &[price(200)])]);
}

#[test]
fn a_product_has_a_title() {
    given::<Product>([])
        .when(list(" ", &[price(250)]))
        .then_refused(&Refusal::TitleBlank { sku: sku("MUG") });
}

#[test]
fn a_product_has_a_price() {
    given::<Product>([]).when(list("A mug", &[])).then_refused(&Refusal::NoPrices { sku: sku("MUG") });
}

#[test]
fn a_product_has_one_price_per_currency() {
    given::<Product>([])
        .when(list("A mug", &[price(250), euros(300), price(250)]))
        .then_refused(&Refusal::CurrencyRepeated { sku: sku("MUG"), currency: Currency::GBP });
}

#[test]
fn a_price_changes_in_its_currency_only() {
    let history = [listed("A mug", &[price(250), euros(300)]), repriced(price(275))];
    let product = given::<Product>(history).state();
    let offer = product.offer().unwrap();
    assert_eq!(offer.price_in(Currency::GBP), Some(price(275)));
    assert_eq!(offer.price_in(Currency::EUR), Some(euros(300)));
    assert_eq!(offer.price_in(Currency::USD), None);
}

#[test]
fn a_price_in_another_currency_is_added() {
    given::<Product>([listed("A mug", &[price(250)])]).when(reprice(euros(300))).then([repriced(euros(300))]);
}

#[test]
fn the_price_that_it_has_already_is_nothing() {
    given::<Product>([listed("A mug", &[price(250)])]).when(reprice(price(250))).then_nothing();
}

#[test]
fn what_is_not_listed_is_not_repriced_or_withdrawn() {
    for command in [reprice(price(1)), withdraw("broken")] {
        given::<Product>([]).when(command).then_refused(&Refusal::NotListed { sku: sku("MUG") });
    }
}

#[test]
fn a_product_is_withdrawn_and_has_no_offer_then() {
    given::<Product>([listed("A mug", &[price(250)])]).when(withdraw("broken")).then([withdrawn("broken")]);
    let product = given::<Product>([listed("A mug", &[price(250)]), withdrawn("broken")]).state();
    assert_eq!(product.offer(), None);
}

#[test]
fn withdrawing_again_is_nothing_but_not_for_another_reason() {
    let history = [listed("A mug", &[price(250)]), withdrawn("broken")];
    given::<Product>(&history).when(withdraw("broken")).then_nothing();
    given::<Product>(&history)
        .when(withdraw("ugly"))
        .then_refused(&Refusal::Withdrawn { sku: sku("MUG"), reason: "broken".to_owned() });
}

#[test]
fn a_withdrawn_product_is_not_repriced() {
    given::<Product>([listed("A mug", &[price(250)]), withdrawn("broken")])
        .when(reprice(price(1)))
        .then_refused(&Refusal::Withdrawn { sku: sku("MUG"), reason: "broken".to_owned() });
}

#[test]
fn a_history_without_a_listing_is_corrupt() {
    assert!(Product::replay(&[repriced(price(1))]).is_err());
    assert!(Product::replay(&[withdrawn("broken")]).is_err());
    assert!(Product::replay(&[listed("A", &[price(1)]), listed("B", &[price(1)])]).is_err());
}
