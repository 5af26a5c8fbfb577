//! Cursors: where a list was left, as opaque text. A cursor holds the sort key and the id of the last
//! row, so that the next page begins behind it however many rows have come in since.

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// The last row of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The order of the list that it belongs to.
    #[serde(rename = "s")]
    pub(crate) sort: String,
    /// The row's key in that order.
    #[serde(rename = "k")]
    pub(crate) key: Key,
}

/// A place in an order: unique, because it ends with the row's id where it is not an id itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Key {
    /// A number, and an id among equals.
    Number(i64, Uuid),
    /// A time, and an id among equals.
    Time(DateTime<Utc>, Uuid),
    /// A position, which only one row has.
    Position(i64),
    /// A name, which only one row has.
    Name(String),
}

/// How the key of a row is made, which is also what kind of key it is.
#[derive(Debug)]
pub(crate) enum KeyOf<R> {
    /// Of a number and the id.
    Number(fn(&R) -> (i64, Uuid)),
    /// Of a time and the id.
    Time(fn(&R) -> (DateTime<Utc>, Uuid)),
    /// Of the position.
    Position(fn(&R) -> i64),
    /// Of the name.
    Name(fn(&R) -> String),
}

impl Cursor {
    /// As a client gets it.
    pub(crate) fn encode(&self) -> String {
        hex::encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// What a client gives back, if it ever was a cursor.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&hex::decode(text).ok()?).ok()
    }
}

impl Key {
    /// Gives its values to a query.
    pub(crate) fn bind(&self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Number(number, id) => query.push_bind(*number).push(", ").push_bind(*id),
            Self::Time(time, id) => query.push_bind(*time).push(", ").push_bind(*id),
            Self::Position(position) => query.push_bind(*position),
            Self::Name(name) => query.push_bind(name.clone()),
        };
    }
}

impl<R> KeyOf<R> {
    /// The key of a row.
    pub(crate) fn of(&self, row: &R) -> Key {
        match self {
            Self::Number(key) => {
                let (number, id) = key(row);
                Key::Number(number, id)
            }
            Self::Time(key) => {
                let (time, id) = key(row);
                Key::Time(time, id)
            }
            Self::Position(key) => Key::Position(key(row)),
            Self::Name(key) => Key::Name(key(row)),
        }
    }

    /// Whether a key that a client gave is of this kind, and within what the database can compare.
    pub(crate) fn fits(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::Number(_), Key::Number(..)) | (Self::Position(_), Key::Position(_)) => true,
            (Self::Time(_), Key::Time(time, _)) => (0..=9999).contains(&time.year()),
            (Self::Name(_), Key::Name(name)) => !name.contains('\0'),
            (Self::Number(_) | Self::Time(_) | Self::Position(_) | Self::Name(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_to_a_client_and_back() {
        for key in [
            Key::Number(-5, Uuid::from_u128(1)),
            Key::Time(DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), Uuid::from_u128(2)),
            Key::Position(4711),
            Key::Name("mug".to_owned()),
        ] {
            let cursor = Cursor { sort: "-placed_at".to_owned(), key };
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "zz", "00", "7b7d", &hex::encode("{\"s\":\"sku\"}")] {
            assert_eq!(Cursor::decode(text), None);
        }
    }

    #[test]
    fn a_key_fits_only_its_own_kind_and_what_the_database_can_compare() {
        let by_time: KeyOf<()> = KeyOf::Time(|()| (DateTime::UNIX_EPOCH, Uuid::nil()));
        assert!(by_time.fits(&by_time.of(&())));
        assert!(!by_time.fits(&Key::Time(DateTime::<Utc>::MAX_UTC, Uuid::nil())));
        assert!(!by_time.fits(&Key::Number(1, Uuid::nil())));
        let by_name: KeyOf<()> = KeyOf::Name(|()| "mug".to_owned());
        assert!(by_name.fits(&by_name.of(&())));
        assert!(!by_name.fits(&Key::Name("\0".to_owned())));
    }
}
