//! Cursors: where a list was left, as opaque text. A cursor holds the sort key and the id of the last
//! row, so that the next page begins behind it however many rows have come in since.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::asked::{Asked, Unfit};

/// The most rows on a page, and how many there are when nobody says.
const LIMIT_MAX: i64 = 200;
const LIMIT_DEFAULT: i64 = 50;

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

/// A place in an order: unique, because it ends with the row's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Key {
    /// A number, and an id among equals.
    Number(i64, Uuid),
    /// A time, and an id among equals.
    Time(DateTime<Utc>, Uuid),
    /// A name that is unique.
    Name(String),
}

impl Cursor {
    /// As a client gets it.
    pub(crate) fn encode(&self) -> String {
        hex::encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&hex::decode(text).ok()?).ok()
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// How many rows.
    pub(crate) limit: i64,
    /// Behind which row.
    pub(crate) after: Option<Key>,
}

impl Window {
    /// Reads the parameters `limit` and `cursor` of a list in the order `sort`.
    pub(crate) fn of(asked: &mut Asked, sort: &str) -> Self {
        let limit = asked.parameter("limit", |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| Unfit::new(format_args!("must be a number from 1 to {LIMIT_MAX}")))
        });
        let after = asked.parameter("cursor", |text| {
            let cursor = Cursor::decode(text).ok_or_else(|| Unfit::new("is not a cursor of this list"))?;
            if cursor.sort != sort || !fits(&cursor) {
                return Err(Unfit::new("is a cursor of a list in another order"));
            }
            Ok(cursor.key)
        });
        Self { limit: limit.unwrap_or(LIMIT_DEFAULT), after }
    }

    /// Cuts off the row that was read in excess, and makes the cursor behind the last one that stays.
    pub(crate) fn close<R>(&self, rows: &mut Vec<R>, sort: &str, key: impl Fn(&R) -> Key) -> Option<String> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|last| Cursor { sort: sort.to_owned(), key: key(last) }.encode())
    }
}

/// Whether the key is of the kind that the order has, and within what the database can compare.
fn fits(cursor: &Cursor) -> bool {
    match (cursor.sort.trim_start_matches('-'), &cursor.key) {
        ("total" | "raised", Key::Number(..)) => true,
        ("placed_at" | "requested_at", Key::Time(time, _)) => {
            (0..=9999).contains(&chrono::Datelike::year(time))
        }
        ("sku", Key::Name(name)) => !name.contains('\0'),
        _ => false,
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
}
