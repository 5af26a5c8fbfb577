//! What is written beside every payload: when, why and by whom. The position, the revision and the
//! recorded time are the store's own and are not repeated here.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Visitor},
};
use uuid::Uuid;

/// The envelope of an event, written with it in one append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Business time: when it happened in the world. Differs from the recorded time when history is
    /// imported.
    #[serde(deserialize_with = "time")]
    pub occurred_at: DateTime<Utc>,
    /// One journey, for example one checkout with everything that follows from it.
    pub correlation_id: Uuid,
    /// The event or command that this one follows from.
    pub causation_id: Uuid,
    /// The command that was decided.
    pub command_id: Uuid,
    /// SHA-256 of the request that carried the command, in hex, so that the same key with another
    /// body is told from a repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_digest: Option<String>,
    /// Who asked.
    pub actor: Actor,
    /// W3C trace context (`traceparent`), where the command came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Reads a time in the form of RFC 3339, in which all are written. The library's own way is open to other forms, too,
/// and took a seventh of the time in which an event is read; it is gone only where it is needed.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = DateTime<Utc>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time in the form of RFC 3339")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            match DateTime::parse_from_rfc3339(text) {
                Ok(time) => Ok(time.to_utc()),
                Err(_) => text.parse().map_err(E::custom),
            }
        }
    }

    from.deserialize_str(Text)
}

/// Who asked for a command: never a name or an address, which would be personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever called the command API.
    Client,
    /// A person or job with the command line.
    Operator,
    /// A process manager, by name.
    Saga(String),
    /// A payment provider, by name.
    Provider(String),
    /// An import of history, by source.
    Import(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Operator => f.write_str("operator"),
            Self::Saga(name) => write!(f, "saga:{name}"),
            Self::Provider(name) => write!(f, "provider:{name}"),
            Self::Import(source) => write!(f, "import:{source}"),
        }
    }
}
