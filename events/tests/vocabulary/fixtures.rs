//! Every event version that was ever written is in `fixtures/`, one frozen file each (and more where one
//! payload has several shapes), named `<WireName>.v<version>[.<shape>].json`. Each must be read for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use events::{
    Category, DecodeError, DomainEvent, Money, catalog::CatalogEvent, checkout::CheckoutEvent,
    credit::CreditEvent, inventory::InventoryEvent, ledger::LedgerEvent, order::OrderEvent,
    payment::PaymentEvent, webhook::WebhookEvent,
};
use serde_json::Value;

struct Fixture {
    file: String,
    name: String,
    version: u16,
    payload: Vec<u8>,
}

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            let mut parts = file.split('.');
            let name = parts.next().unwrap().to_owned();
            let version = parts.next().unwrap().strip_prefix('v').unwrap().parse().unwrap();
            assert_eq!(path.extension().unwrap(), "json", "{file}");
            Fixture { name, version, payload: fs::read(&path).unwrap(), file }
        })
        .collect()
}

fn wire_of(category: Category) -> &'static [(&'static str, u16)] {
    match category {
        Category::Catalog => CatalogEvent::WIRE,
        Category::Inventory => InventoryEvent::WIRE,
        Category::Order => OrderEvent::WIRE,
        Category::Payment => PaymentEvent::WIRE,
        Category::Checkout => CheckoutEvent::WIRE,
        Category::Credit => CreditEvent::WIRE,
        Category::Ledger => LedgerEvent::WIRE,
        Category::Webhook => WebhookEvent::WIRE,
    }
}

/// Reads a payload and writes it again: its name, the version that is written today, and its JSON.
fn read_and_write<E: DomainEvent>(fixture: &Fixture) -> Result<(&'static str, u16, Value), DecodeError> {
    let event = E::decode(&fixture.name, fixture.version, &fixture.payload)?;
    let json = serde_json::from_slice(&event.encode().unwrap()).unwrap();
    Ok((event.wire_name(), event.wire_version(), json))
}

fn rewritten(fixture: &Fixture) -> Result<(&'static str, u16, Value), DecodeError> {
    let category = Category::ALL
        .into_iter()
        .find(|category| wire_of(*category).iter().any(|(name, _)| *name == fixture.name))
        .unwrap_or_else(|| panic!("{}: no event has this name", fixture.file));
    match category {
        Category::Catalog => read_and_write::<CatalogEvent>(fixture),
        Category::Inventory => read_and_write::<InventoryEvent>(fixture),
        Category::Order => read_and_write::<OrderEvent>(fixture),
        Category::Payment => read_and_write::<PaymentEvent>(fixture),
        Category::Checkout => read_and_write::<CheckoutEvent>(fixture),
        Category::Credit => read_and_write::<CreditEvent>(fixture),
        Category::Ledger => read_and_write::<LedgerEvent>(fixture),
        Category::Webhook => read_and_write::<WebhookEvent>(fixture),
    }
}

#[test]
fn every_fixture_is_still_read() {
    for fixture in fixtures() {
        let (name, _, _) = rewritten(&fixture).unwrap_or_else(|error| panic!("{}: {error}", fixture.file));
        assert_eq!(name, fixture.name);
    }
}

#[test]
fn every_version_of_every_event_has_a_fixture() {
    let fixtures = fixtures();
    let kept: BTreeSet<_> = fixtures.iter().map(|fixture| (fixture.name.as_str(), fixture.version)).collect();
    for (name, newest) in Category::ALL.into_iter().flat_map(wire_of) {
        for version in 1..=*newest {
            assert!(kept.contains(&(*name, version)), "fixtures/{name}.v{version}.json is missing");
        }
    }
}

#[test]
fn the_newest_version_is_written_as_its_fixture_says() {
    for fixture in fixtures() {
        let (_, newest, written) = rewritten(&fixture).unwrap();
        if fixture.version == newest {
            let kept: Value = serde_json::from_slice(&fixture.payload).unwrap();
            assert_eq!(written, kept, "{}", fixture.file);
        }
    }
}

#[test]
fn a_release_says_of_every_event_that_it_can_read_it() {
    let said: Vec<_> = events::vocabulary().collect();
    let written: Vec<_> = Category::ALL.into_iter().flat_map(wire_of).copied().collect();
    assert_eq!(said.iter().collect::<BTreeSet<_>>(), written.iter().collect());
}

#[test]
fn only_what_is_not_known_may_be_of_a_newer_release() {
    let unknown = |name: &str, version, payload: &[u8]| {
        let error = OrderEvent::decode(name, version, payload).unwrap_err();
        error.unknown().map(|(name, version)| (name.to_owned(), version))
    };
    let newer = u16::MAX;
    assert_eq!(unknown("OrderPlaced", newer, b"{}"), Some(("OrderPlaced".to_owned(), newer)));
    assert_eq!(unknown("OrderForgotten", 1, b"{}"), Some(("OrderForgotten".to_owned(), 0)));
    assert_eq!(unknown("OrderPlaced", 0, b"{}"), None);
    assert_eq!(unknown("OrderCompleted", 1, b"{"), None);
}

#[test]
fn no_two_contexts_share_a_wire_name() {
    let mut owner = BTreeMap::new();
    for category in Category::ALL {
        for (name, _) in wire_of(category) {
            assert_eq!(owner.insert(*name, category), None, "{name}");
        }
    }
}

#[test]
fn an_order_placed_in_version_1_is_read_as_a_live_sale_with_amounts() {
    let fixtures = fixtures();
    let v1 = fixtures.iter().find(|fixture| fixture.file == "OrderPlaced.v1.json").unwrap();
    let original: Value = serde_json::from_slice(&v1.payload).unwrap();
    assert!(original.get("origin").is_none() && original["lines"][0].get("amount").is_none());

    let OrderEvent::Placed(placed) = OrderEvent::decode("OrderPlaced", 1, &v1.payload).unwrap() else {
        panic!("OrderPlaced is read as something else");
    };
    let gbp = |amount| Money::new(amount, events::Currency::GBP);
    assert_eq!(placed.origin, events::order::Origin::Live);
    let amounts: Vec<_> = placed.lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [gbp(1530), gbp(678)]);
    assert_eq!(placed.total, gbp(2208));
}

#[test]
fn version_1_with_lines_that_cannot_be_priced_is_refused() {
    for lines in [
        r#""none""#,
        r#"[{"sku":"A"}]"#,
        r#"["A"]"#,
        r#"[{"sku":"A","quantity":9223372036854775807,"unit_price":{"amount":2,"currency":"GBP"}}]"#,
    ] {
        let payload = format!(r#"{{"lines":{lines}}}"#);
        let read = OrderEvent::decode("OrderPlaced", 1, payload.as_bytes());
        assert!(matches!(read, Err(DecodeError::Payload { name: "OrderPlaced", version: 1, .. })));
    }
}

#[test]
fn what_no_release_has_written_is_not_guessed_at() {
    let name = OrderEvent::decode("OrderForgotten", 1, b"{}");
    assert!(matches!(name, Err(DecodeError::UnknownName { category: Category::Order, .. })));
    for version in [0, 3] {
        let read = OrderEvent::decode("OrderPlaced", version, b"{}");
        assert!(matches!(read, Err(DecodeError::UnknownVersion { newest: 2, .. })), "{version}");
    }
    let torn = OrderEvent::decode("OrderCompleted", 1, b"{\"order_id\":");
    assert!(matches!(torn, Err(DecodeError::Payload { .. })));
}
