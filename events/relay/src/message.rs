//! An event as a message: its subject, its headers and its body.
//!
//! The body is the payload, byte for byte as the log keeps it. Name, e-mail and address of a person are sealed
//! in there, and stay so. **The token of a means of payment leaves with it**: it is good for nothing without
//! the shop's own key at the provider, names no person and is never a card number; and a body that is not
//! what the log holds could not be compared with it. **What a payment provider wrote stays here**
//! (`WebhookReceived`): nobody promises what a provider puts into a notification, and what it says about a
//! payment is in the events of that payment. Such a message has its headers and no body.

use async_nats::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use event_store::{Position, RecordedEvent};
use events::Category;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

/// The JetStream stream that the relay publishes to.
pub const STREAM: &str = "COUNTERFOIL";
/// The subjects of all events.
pub const ANYTHING: &str = "counterfoil.>";

pub(crate) const POSITION: &str = "Counterfoil-Position";
const STREAM_NAME: &str = "Counterfoil-Stream";
const REVISION: &str = "Counterfoil-Revision";
const EVENT: &str = "Counterfoil-Event";
const SCHEMA_VERSION: &str = "Counterfoil-Schema-Version";
const OCCURRED_AT: &str = "Counterfoil-Occurred-At";
const CORRELATION_ID: &str = "Counterfoil-Correlation-Id";
const CAUSATION_ID: &str = "Counterfoil-Causation-Id";
const WITHHELD: &str = "Counterfoil-Withheld";
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";
pub(crate) const EXPECTED_LAST_ID: &str = "Nats-Expected-Last-Msg-Id";

/// What cannot stand in a header as it is.
const IN_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// What means something in a subject, besides.
const IN_SUBJECT: &AsciiSet = &IN_HEADER.add(b'.').add(b'*').add(b'>');

/// The subject of an event: `counterfoil.<category>.<event>`. What would mean something else in a subject is
/// percent-encoded; no category or event of ours has such characters.
pub(crate) fn subject(event: &RecordedEvent) -> String {
    let token = |text| utf8_percent_encode(text, IN_SUBJECT);
    format!("counterfoil.{}.{}", token(event.stream.category()), token(&event.name))
}

/// The headers of an event.
pub(crate) fn headers(event: &RecordedEvent) -> HeaderMap {
    let text = |text: &str| utf8_percent_encode(text, IN_HEADER).to_string();
    let occurred_at = event.metadata.occurred_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE_ID, event.id.to_string());
    headers.insert(POSITION, event.position.to_string());
    headers.insert(STREAM_NAME, text(event.stream.as_str()));
    headers.insert(REVISION, event.revision.to_string());
    headers.insert(EVENT, text(&event.name));
    headers.insert(SCHEMA_VERSION, event.version.to_string());
    headers.insert(OCCURRED_AT, occurred_at);
    headers.insert(CORRELATION_ID, event.metadata.correlation_id.to_string());
    headers.insert(CAUSATION_ID, event.metadata.causation_id.to_string());
    if is_withheld(event) {
        headers.insert(WITHHELD, "body");
    } else {
        headers.insert("Content-Type", "application/json");
    }
    headers
}

/// The body of an event.
pub(crate) fn body(event: &RecordedEvent) -> Bytes {
    if is_withheld(event) { Bytes::new() } else { event.payload.clone() }
}

fn is_withheld(event: &RecordedEvent) -> bool {
    event.stream.category() == Category::Webhook.as_str() && event.name == "WebhookReceived"
}

/// An event as somebody outside receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its place in the log.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Its stream.
    pub stream: String,
    /// Where it is in its stream, from 0.
    pub revision: u64,
    /// The wire name.
    pub event: String,
    /// The schema version.
    pub schema_version: u16,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The journey that it belongs to.
    pub correlation_id: Uuid,
    /// What it follows from.
    pub causation_id: Uuid,
    /// The subject that it came on.
    pub subject: String,
    /// The payload; `None` when it is withheld.
    pub payload: Option<Bytes>,
}

impl Received {
    /// Reads a message; `None` when it is not one of ours.
    pub(crate) fn read(message: &async_nats::Message) -> Option<Self> {
        let headers = message.headers.as_ref()?;
        let header = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
        let text = |name| Some(percent_decode_str(header(name)?).decode_utf8().ok()?.into_owned());
        Some(Self {
            position: header(POSITION)?.parse().ok()?,
            event_id: header(MESSAGE_ID)?.parse().ok()?,
            stream: text(STREAM_NAME)?,
            revision: header(REVISION)?.parse().ok()?,
            event: text(EVENT)?,
            schema_version: header(SCHEMA_VERSION)?.parse().ok()?,
            occurred_at: header(OCCURRED_AT)?.parse().ok()?,
            correlation_id: header(CORRELATION_ID)?.parse().ok()?,
            causation_id: header(CAUSATION_ID)?.parse().ok()?,
            subject: message.subject.to_string(),
            payload: header(WITHHELD).is_none().then(|| message.payload.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use events::{Actor, Metadata};

    use super::*;

    fn event(stream: &str, name: &str) -> RecordedEvent {
        let id = Uuid::from_u128(7);
        let occurred_at = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        RecordedEvent {
            position: Position::from_column(42).unwrap(),
            stream: stream.parse().unwrap(),
            revision: 3,
            id,
            name: name.to_owned(),
            version: 2,
            payload: Bytes::from_static(b"{\"a\":1 }"),
            metadata: Metadata {
                occurred_at,
                correlation_id: Uuid::from_u128(8),
                causation_id: Uuid::from_u128(9),
                command_id: id,
                request_digest: None,
                actor: Actor::Client,
                traceparent: None,
            },
            recorded_at: occurred_at,
        }
    }

    fn carried(event: &RecordedEvent) -> async_nats::Message {
        let (subject, payload) = (subject(event).into(), body(event));
        let length = payload.len();
        let headers = Some(headers(event));
        async_nats::Message {
            subject,
            reply: None,
            payload,
            headers,
            status: None,
            description: None,
            length,
        }
    }

    #[test]
    fn an_event_comes_out_as_it_went_in() {
        for (stream, name, subject) in [
            ("order-7", "OrderPlaced", "counterfoil.order.OrderPlaced"),
            ("inventory-MUG, blue 50% ", "StockReceived", "counterfoil.inventory.StockReceived"),
            ("a.b*>-möwe\r\nX: y", "of > two.parts", "counterfoil.a%2Eb%2A%3E.of%20%3E%20two%2Eparts"),
        ] {
            let event = event(stream, name);
            let received = Received::read(&carried(&event)).unwrap();
            assert_eq!(received.subject, subject);
            assert_eq!((received.stream.as_str(), received.event.as_str()), (stream, name));
            assert_eq!((received.position, received.event_id), (event.position, event.id));
            assert_eq!((received.revision, received.schema_version), (3, 2));
            assert_eq!(received.occurred_at, event.metadata.occurred_at);
            assert_eq!(received.payload, Some(event.payload));
        }
    }

    #[test]
    fn what_a_provider_wrote_stays_here() {
        let carried = carried(&event("webhook-evt_1", "WebhookReceived"));
        assert!(carried.payload.is_empty());
        assert_eq!(Received::read(&carried).unwrap().payload, None);
    }
}
