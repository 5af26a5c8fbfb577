//! A client's place in the feed, as the id of a server-sent event says it and `Last-Event-ID` brings it
//! back: `position-edition`. The edition counts how often events came in late, behind a position that
//! was told already; who knows of fewer than there are is sent back.

use std::{fmt, str::FromStr};

use projections::Position;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::models::position_from;

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// It was given what is up to here.
    pub(crate) after: Position,
    /// As the feed was in this edition.
    pub(crate) edition: i64,
}

impl Place {
    /// A place for somebody who begins there now, and knows of everything that came late so far.
    pub(crate) async fn begin(after: Position, db: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let edition = sqlx::query_scalar(EDITION).fetch_one(db).await?;
        Ok(Self { after, edition })
    }

    /// The same place in the edition of now, and whether that is a way back: to before the first event
    /// that came late since, of all orders or of one.
    pub(crate) async fn catch_up(
        self,
        order: Option<Uuid>,
        db: &mut PgConnection,
    ) -> Result<(Self, bool), sqlx::Error> {
        let edition = sqlx::query_scalar(EDITION).fetch_one(&mut *db).await?;
        if edition == self.edition {
            return Ok((self, false));
        }
        // An edition that there has not been is of a feed that was dropped and made anew.
        if edition < self.edition {
            return Ok((Self { after: Position::START, edition }, self.after > Position::START));
        }
        let first_late: Option<i64> = sqlx::query_scalar(
            "select min(position) from read.rewinds
                 where projection = 'feed' and edition > $1
                     and ($2::text is null or substr(stream, strpos(stream, '-') + 1) = $2)",
        )
        .bind(self.edition)
        .bind(order.map(|order| order.to_string()))
        .fetch_one(db)
        .await?;
        let before = first_late.map(before).transpose()?;
        let after = before.map_or(self.after, |before| before.min(self.after));
        Ok((Self { after, edition }, after < self.after))
    }
}

/// The edition of the feed.
pub(crate) const EDITION: &str =
    "select coalesce(max(edition), 0) from read.rewinds where projection = 'feed'";

/// A position before one that a column holds, with no event between them. It need not be that of an
/// event: it is compared with others, and nothing is counted.
pub(crate) fn before(column: i64) -> Result<Position, sqlx::Error> {
    position_from(column - 1)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.after, self.edition)
    }
}

/// A text that is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place is a position and an edition, as in 17-3")]
pub(crate) struct NotAPlace;

/// A position alone knows of nothing that ever came late.
impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (after, edition) = text.split_once('-').unwrap_or((text, "0"));
        let edition = edition.parse().ok().filter(|edition| *edition >= 0).ok_or(NotAPlace)?;
        Ok(Self { after: after.parse().map_err(|_| NotAPlace)?, edition })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_a_position_alone_is_of_the_first_edition() {
        let place = Place { after: "17".parse().unwrap(), edition: 3 };
        assert_eq!(place.to_string(), "17-3");
        assert_eq!("17-3".parse(), Ok(place));
        assert_eq!("17".parse(), Ok(Place { edition: 0, ..place }));
        for crooked in ["", "-", "17-", "-3", "17-3-1", "17--3", "17-three", "1.5"] {
            assert!(crooked.parse::<Place>().is_err(), "{crooked}");
        }
    }
}
