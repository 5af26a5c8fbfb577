//! A recorded event, decoded and of a known type. What cannot become a fact parks its stream.

use chrono::{DateTime, Utc};
use event_store::{ColumnError, RecordedEvent, limits::PAYLOAD_BYTES_MAX};
use events::{
    Category, DecodeError, DomainEvent, StreamName, catalog::CatalogEvent, checkout::CheckoutEvent,
    credit::CreditEvent, inventory::InventoryEvent, ledger::LedgerEvent, order::OrderEvent,
    payment::PaymentEvent, webhook::WebhookEvent,
};

/// Something that happened, where and when.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Its place in the log, as the database counts.
    pub position: i64,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in its stream, as the database counts.
    pub revision: i64,
    /// The wire name.
    pub name: String,
    /// Business time.
    pub occurred_at: DateTime<Utc>,
    /// What happened.
    pub event: Event,
}

/// What happened, in any context.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is the context that it is named after")]
pub enum Event {
    Catalog(CatalogEvent),
    Inventory(InventoryEvent),
    Order(OrderEvent),
    Payment(PaymentEvent),
    Checkout(CheckoutEvent),
    Credit(CreditEvent),
    Ledger(LedgerEvent),
    Webhook(WebhookEvent),
}

/// Why a recorded event cannot become a fact.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its name, version or payload is not known.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Its payload is larger than any that a store takes, so that it got there some other way.
    #[error("the payload of {bytes} bytes is over the limit of {PAYLOAD_BYTES_MAX}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// Its stream is of no category that we know.
    #[error("{category} is no category of events")]
    UnknownCategory {
        /// What was found.
        category: String,
    },
    /// Its place in the log does not fit into the database's numbers.
    #[error(transparent)]
    TooFar(#[from] ColumnError),
    /// Its place in its stream does not either.
    #[error("revision {0} is too large for a column")]
    RevisionTooLarge(u64),
}

impl Unreadable {
    /// The name and version of what a newer release may be able to read.
    pub(crate) fn unknown(&self) -> Option<(&str, u16)> {
        match self {
            Self::Decode(error) => error.unknown(),
            Self::TooLarge { .. }
            | Self::UnknownCategory { .. }
            | Self::TooFar(_)
            | Self::RevisionTooLarge(_) => None,
        }
    }
}

impl Fact {
    /// Reads a recorded event.
    pub fn read(recorded: &RecordedEvent) -> Result<Self, Unreadable> {
        if recorded.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Unreadable::TooLarge { bytes: recorded.payload.len() });
        }
        let revision =
            i64::try_from(recorded.revision).map_err(|_| Unreadable::RevisionTooLarge(recorded.revision));
        Ok(Self {
            position: recorded.position.to_column()?,
            stream: recorded.stream.clone(),
            revision: revision?,
            name: recorded.name.clone(),
            occurred_at: recorded.metadata.occurred_at,
            event: Event::decode(recorded)?,
        })
    }
}

impl Event {
    fn decode(recorded: &RecordedEvent) -> Result<Self, Unreadable> {
        fn read<E: DomainEvent>(recorded: &RecordedEvent) -> Result<E, DecodeError> {
            E::decode(&recorded.name, recorded.version, &recorded.payload)
        }
        let category = recorded.stream.category();
        let known = Category::ALL.into_iter().find(|known| known.as_str() == category);
        Ok(match known.ok_or_else(|| Unreadable::UnknownCategory { category: category.to_owned() })? {
            Category::Catalog => Self::Catalog(read(recorded)?),
            Category::Inventory => Self::Inventory(read(recorded)?),
            Category::Order => Self::Order(read(recorded)?),
            Category::Payment => Self::Payment(read(recorded)?),
            Category::Checkout => Self::Checkout(read(recorded)?),
            Category::Credit => Self::Credit(read(recorded)?),
            Category::Ledger => Self::Ledger(read(recorded)?),
            Category::Webhook => Self::Webhook(read(recorded)?),
        })
    }
}
