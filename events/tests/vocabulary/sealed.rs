//! Personal data in the log: opened by the right key for the right person, and by nothing else.

use events::sealed::{PersonKey, SealError, Sealed};
use serde_json::{Value, json};
use uuid::Uuid;

const ADA: Uuid = Uuid::from_u128(1);

fn key(byte: u8) -> PersonKey {
    PersonKey::from_bytes([byte; PersonKey::BYTES])
}

fn contact() -> Value {
    json!({ "name": "Ada Lovelace", "email": "ada@example.org" })
}

fn sealed() -> Sealed {
    Sealed::seal(ADA, &key(7), &contact()).unwrap()
}

/// The sealed value as somebody with the log in hand could have changed it.
fn tampered(change: impl FnOnce(&mut Value)) -> Sealed {
    let mut json = serde_json::to_value(sealed()).unwrap();
    change(&mut json);
    serde_json::from_value(json).unwrap()
}

fn flip_first_digit(hex: &mut Value) {
    let text = hex.as_str().unwrap();
    let flipped = if text.starts_with('0') { "1" } else { "0" };
    *hex = Value::String(format!("{flipped}{}", &text[1..]));
}

#[test]
fn the_key_of_the_person_opens_it() {
    assert_eq!(sealed().open::<Value>(&key(7)), Ok(contact()));
}

#[test]
fn it_opens_after_it_has_been_in_the_log() {
    let json = serde_json::to_string(&sealed()).unwrap();
    assert!(!json.contains("Ada") && !json.contains("ada@"));
    let read: Sealed = serde_json::from_str(&json).unwrap();
    assert_eq!(read.open::<Value>(&key(7)), Ok(contact()));
}

#[test]
fn another_key_does_not_open_it() {
    assert_eq!(sealed().open::<Value>(&key(8)), Err(SealError::Unopenable { person: ADA }));
}

#[test]
fn it_cannot_be_moved_to_somebody_else() {
    let mallory = Uuid::from_u128(2);
    let moved = tampered(|json| json["person"] = json!(mallory));
    assert_eq!(moved.open::<Value>(&key(7)), Err(SealError::Unopenable { person: mallory }));
}

#[test]
fn changed_bytes_are_noticed() {
    let unopenable = Err(SealError::Unopenable { person: ADA });
    let changed = tampered(|json| flip_first_digit(&mut json["ciphertext"]));
    assert_eq!(changed.open::<Value>(&key(7)), unopenable);
    let changed = tampered(|json| flip_first_digit(&mut json["nonce"]));
    assert_eq!(changed.open::<Value>(&key(7)), unopenable);
    let truncated = tampered(|json| json["nonce"] = json!("00"));
    assert_eq!(truncated.open::<Value>(&key(7)), unopenable);
    let emptied = tampered(|json| json["ciphertext"] = json!(""));
    assert_eq!(emptied.open::<Value>(&key(7)), unopenable);
}

#[test]
fn the_same_value_is_sealed_differently_every_time() {
    assert_ne!(sealed(), sealed());
}

#[test]
fn opening_as_something_else_says_nothing_of_the_value() {
    let error = sealed().open::<u64>(&key(7)).unwrap_err();
    assert_eq!(error, SealError::OtherKind { person: ADA });
    assert!(!format!("{error} {error:?}").contains("Ada"));
}

#[test]
fn what_is_printed_shows_whose_it_is_and_nothing_more() {
    let sealed = sealed();
    let shown = format!("{sealed:?}");
    assert!(shown.contains(&ADA.to_string()));
    let json = serde_json::to_value(&sealed).unwrap();
    for secret in ["nonce", "ciphertext"] {
        assert!(!shown.contains(json[secret].as_str().unwrap()), "{shown}");
    }
    assert_eq!(format!("{:?}", key(7)), "PersonKey(..)");
}
