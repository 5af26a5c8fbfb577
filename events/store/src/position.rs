//! A place in the log of everything. What its number means is the engine's affair: whoever is not an
//! adapter compares positions, keeps them and hands them on, and never counts with them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A place in the log of everything, ordered. [`Position::START`] is before the first event.
///
/// Its text form is stable, for URLs, cursors and `Last-Event-ID`: the digits of a whole number of at
/// most 64 bits, without sign or leading zeros. In JSON it is that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Position(u64);

/// What an engine promises of its positions, beyond that they are ordered as the events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// The first event has position 1, and each has the next one: a hole is an event that is missing.
    Dense,
    /// Only the order counts. What is missing shows in its stream alone, as a hole in the revisions.
    Sparse,
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is a whole number, in digits only")]
pub struct NotAPosition;

/// A position and a database column do not fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// A `bigint` counts in 63 bits.
    #[error("position {0} is too large for a column")]
    TooLarge(Position),
    /// A column never holds one below zero.
    #[error("the column holds {0}, which is no position")]
    Negative(i64),
}

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// For adapters: the position that the engine counts as this.
    pub(crate) const fn of(number: u64) -> Self {
        Self(number)
    }

    /// For adapters: what the engine counts it as.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// As a database keeps it, in a `bigint` that orders as positions do.
    pub fn to_column(self) -> Result<i64, ColumnError> {
        i64::try_from(self.0).map_err(|_| ColumnError::TooLarge(self))
    }

    /// From such a column.
    pub fn from_column(column: i64) -> Result<Self, ColumnError> {
        u64::try_from(column).map(Self).map_err(|_| ColumnError::Negative(column))
    }

    /// How far behind `earlier` this is, in whatever the engine counts: events where positions are
    /// [dense](Numbering::Dense), bytes of the log in EventStoreDB. For people to look at, as progress and
    /// lag; nothing is decided by it but how fast somebody reads. Zero when it is not behind.
    pub fn distance_from(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let position = text.parse().map(Self).map_err(|_| NotAPosition)?;
        // A number has other texts too; a position has one.
        if position.to_string() == text { Ok(position) } else { Err(NotAPosition) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_one_text_and_comes_back_from_it() {
        for number in [0, 1, 42, u64::MAX] {
            let position = Position::of(number);
            assert_eq!(position.to_string().parse(), Ok(position));
            assert_eq!(serde_json::to_string(&position).ok(), Some(position.to_string()));
        }
        for text in ["", "+1", "-1", "01", " 1", "1 ", "1.0", "0x1", "18446744073709551616"] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text:?}");
        }
    }

    #[test]
    fn a_column_orders_as_positions_do_and_holds_none_below_zero() {
        for number in [0, 1, 42, i64::MAX.unsigned_abs()] {
            let position = Position::of(number);
            assert_eq!(position.to_column().and_then(Position::from_column), Ok(position));
        }
        let beyond = Position::of(1 << 63);
        assert_eq!(beyond.to_column(), Err(ColumnError::TooLarge(beyond)));
        assert_eq!(Position::from_column(-1), Err(ColumnError::Negative(-1)));
    }
}
