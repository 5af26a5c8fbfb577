//! What is written beside every event.

use chrono::DateTime;
use events::{Actor, Metadata};
use serde_json::json;
use uuid::Uuid;

fn metadata(actor: Actor) -> Metadata {
    Metadata {
        occurred_at: DateTime::from_timestamp_millis(1_291_191_960_123).unwrap(),
        correlation_id: Uuid::from_u128(1),
        causation_id: Uuid::from_u128(2),
        command_id: Uuid::from_u128(3),
        request_digest: None,
        actor,
        traceparent: None,
    }
}

#[test]
fn an_envelope_comes_back_as_it_was_written() {
    let full = Metadata {
        request_digest: Some("ab".repeat(32)),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..metadata(Actor::Client)
    };
    let actors = [
        Actor::Operator,
        Actor::Saga("checkout".to_owned()),
        Actor::Provider("sandbox".to_owned()),
        Actor::Import("online-retail".to_owned()),
    ];
    for written in actors.map(metadata).into_iter().chain([full]) {
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Metadata>(&json).unwrap(), written);
    }
}

#[test]
fn the_form_of_an_envelope_stays_as_it_is() {
    let form = json!({
        "occurred_at": "2010-12-01T08:26:00.123Z",
        "correlation_id": "00000000-0000-0000-0000-000000000001",
        "causation_id": "00000000-0000-0000-0000-000000000002",
        "command_id": "00000000-0000-0000-0000-000000000003",
        "actor": { "saga": "checkout" },
    });
    let written = metadata(Actor::Saga("checkout".to_owned()));
    assert_eq!(serde_json::to_value(&written).unwrap(), form);
    assert_eq!(serde_json::to_value(Actor::Client).unwrap(), json!("client"));
}

#[test]
fn a_time_is_read_in_every_form_that_was_ever_taken() {
    let read = |time: &str| {
        let mut form = serde_json::to_value(metadata(Actor::Client)).unwrap();
        form["occurred_at"] = json!(time);
        serde_json::from_value::<Metadata>(form).map(|metadata| metadata.occurred_at.timestamp_micros())
    };
    let noon = 1_291_204_800_000_000;
    let forms = [
        ("2010-12-01T12:00:00Z", noon),
        ("2010-12-01T13:00:00.000001+01:00", noon + 1),
        ("2010-12-01t12:00:00.5z", noon + 500_000),
        // Not RFC 3339.
        ("2010-12-01 12:00:00 UTC", noon),
        ("+10000-01-01T00:00:00Z", 253_402_300_800_000_000),
    ];
    for (time, micros) in forms {
        assert_eq!(read(time).ok(), Some(micros), "{time}");
    }
    for wrong in ["2010-12-01T12:00:00", "2010-13-01T12:00:00Z", "yesterday", ""] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_actor_is_shown_by_role_and_name() {
    assert_eq!(Actor::Client.to_string(), "client");
    assert_eq!(Actor::Operator.to_string(), "operator");
    assert_eq!(Actor::Saga("checkout".to_owned()).to_string(), "saga:checkout");
    assert_eq!(Actor::Provider("sandbox".to_owned()).to_string(), "provider:sandbox");
    assert_eq!(Actor::Import("online-retail".to_owned()).to_string(), "import:online-retail");
}
