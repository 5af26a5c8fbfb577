//! From an event to its wire form and back. A wire name and a version are chosen explicitly, never
//! derived from Rust identifiers, so that renaming a type cannot change history.

use crate::{stream::Category, upcast};

/// An event of one context: an enum whose variants each have a wire name and a schema version.
pub trait DomainEvent: Sized + Send + Sync + 'static {
    /// The category of the streams that these events are written to.
    const CATEGORY: Category;

    /// The name on the wire, for example `OrderPlaced`.
    fn wire_name(&self) -> &'static str;

    /// The schema version that is written today.
    fn wire_version(&self) -> u16;

    /// The payload as JSON bytes, as it goes into the log.
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error>;

    /// Reads any version that was ever written, upcasting old ones.
    fn decode(name: &str, version: u16, payload: &[u8]) -> Result<Self, DecodeError>;
}

/// Why a recorded event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The name belongs to none of the events of this category.
    #[error("no event of category {category} is called {name}")]
    UnknownName {
        /// The category that was asked.
        category: Category,
        /// The wire name that was found.
        name: String,
    },
    /// Written by a newer release than this one, or by nobody.
    #[error("{name} version {version} is unknown; this release writes version {newest}")]
    UnknownVersion {
        /// The wire name.
        name: &'static str,
        /// The version that was found.
        version: u16,
        /// The newest version that this release knows.
        newest: u16,
    },
    /// The bytes are not what the name and version promise.
    #[error("the payload of {name} version {version} cannot be read: {source}")]
    Payload {
        /// The wire name.
        name: &'static str,
        /// The version that was found.
        version: u16,
        /// What the parser objected to.
        source: serde_json::Error,
    },
}

impl DecodeError {
    /// The name and version of what this release does not know, and a newer one may. An unknown name is of any
    /// version; a payload that is not what name and version promise is nobody's.
    pub fn unknown(&self) -> Option<(&str, u16)> {
        match self {
            Self::UnknownName { name, .. } => Some((name, 0)),
            Self::UnknownVersion { name, version, newest } if version > newest => Some((name, *version)),
            Self::UnknownVersion { .. } | Self::Payload { .. } => None,
        }
    }

    /// Whether it is a version of something known that is newer than what this release knows.
    pub fn is_newer_version(&self) -> bool {
        matches!(self, Self::UnknownVersion { version, newest, .. } if version > newest)
    }
}

/// Everything that this release can read: each wire name with its newest version.
pub fn vocabulary() -> impl Iterator<Item = (&'static str, u16)> {
    let all = [
        crate::catalog::CatalogEvent::WIRE,
        crate::inventory::InventoryEvent::WIRE,
        crate::order::OrderEvent::WIRE,
        crate::payment::PaymentEvent::WIRE,
        crate::checkout::CheckoutEvent::WIRE,
        crate::credit::CreditEvent::WIRE,
        crate::ledger::LedgerEvent::WIRE,
        crate::webhook::WebhookEvent::WIRE,
    ];
    all.into_iter().flatten().copied()
}

/// Reads one payload, taking it through the upcasters when it is older than `newest`.
pub(crate) fn decode_payload<T: serde::de::DeserializeOwned>(
    name: &'static str,
    version: u16,
    newest: u16,
    payload: &[u8],
) -> Result<T, DecodeError> {
    let unreadable = |source| DecodeError::Payload { name, version, source };
    if version == newest {
        return serde_json::from_slice(payload).map_err(unreadable);
    }
    if version == 0 || version > newest {
        return Err(DecodeError::UnknownVersion { name, version, newest });
    }
    let mut value = serde_json::from_slice(payload).map_err(unreadable)?;
    for from in version..newest {
        value = upcast::step(name, from, value)
            .ok_or(DecodeError::UnknownVersion { name, version, newest })?
            .map_err(unreadable)?;
    }
    serde_json::from_value(value).map_err(unreadable)
}

/// Declares the events of a context: the enum, and for each variant its payload type, wire name and
/// current schema version.
macro_rules! wire_events {
    (
        $(#[$meta:meta])*
        $Enum:ident in $Category:ident {
            $( $(#[$variant_meta:meta])* $Variant:ident($Payload:ty) = $name:literal v $version:expr ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $Enum {
            $( $(#[$variant_meta])* $Variant($Payload) ),+
        }

        impl $crate::codec::DomainEvent for $Enum {
            const CATEGORY: $crate::stream::Category = $crate::stream::Category::$Category;

            fn wire_name(&self) -> &'static str {
                match self { $( Self::$Variant(_) => $name ),+ }
            }

            fn wire_version(&self) -> u16 {
                match self { $( Self::$Variant(_) => $version ),+ }
            }

            fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self { $( Self::$Variant(payload) => serde_json::to_vec(payload) ),+ }
            }

            fn decode(name: &str, version: u16, payload: &[u8]) -> Result<Self, $crate::codec::DecodeError> {
                match name {
                    $( $name => $crate::codec::decode_payload($name, version, $version, payload).map(Self::$Variant), )+
                    other => Err($crate::codec::DecodeError::UnknownName {
                        category: Self::CATEGORY,
                        name: other.to_owned(),
                    }),
                }
            }
        }

        impl $Enum {
            /// Every wire name of this context with the version that is written today.
            pub const WIRE: &'static [(&'static str, u16)] = &[ $( ($name, $version) ),+ ];
        }
    };
}
pub(crate) use wire_events;
