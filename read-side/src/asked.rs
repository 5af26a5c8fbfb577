//! What a request asks for: its query parameters and the headers about freshness and caching. All
//! faults are gathered, and told together; a parameter that nobody knows is one.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use platform::problem::{Fault, INVALID_REQUEST, Problem};
use projections::Position;
use tokio::time::Instant;

use crate::place::Place;

/// The position that an answer must reflect at least.
pub(crate) const AT_LEAST: &str = "counterfoil-at-least";

/// The longest wait for freshness, in seconds.
pub(crate) const WAIT_SECONDS_MAX: u64 = 30;

/// A request, before its parameters have been looked at.
pub(crate) struct Asked {
    parameters: BTreeMap<String, String>,
    faults: Vec<Fault>,
    conditions: Conditions,
}

/// How fresh the answer must be, and what the client has already.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// Counterfoil-At-Least.
    pub(crate) at_least: Option<Position>,
    /// Until when to wait for it.
    pub(crate) deadline: Instant,
    /// Whether the client asked to wait.
    pub(crate) waits: bool,
    /// If-None-Match.
    pub(crate) if_none_match: Option<String>,
    /// Last-Event-ID.
    pub(crate) last_event_id: Option<Place>,
}

impl Conditions {
    /// Whatever is there now.
    pub(crate) fn none() -> Self {
        Self {
            at_least: None,
            deadline: Instant::now(),
            waits: false,
            if_none_match: None,
            last_event_id: None,
        }
    }
}

/// Why a value is not accepted.
pub(crate) struct Unfit(String);

impl Unfit {
    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)?;
        let mut parameters = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, value) in pairs {
            if parameters.insert(name.clone(), value).is_some() {
                faults.push(fault(&name, "is given more than once"));
            }
        }
        let conditions = conditions(&parts.headers, &mut faults);
        Ok(Self { parameters, faults, conditions })
    }
}

impl Asked {
    /// A parameter, if it was given and can be read.
    pub(crate) fn parameter<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Unfit>,
    ) -> Option<T> {
        let value = self.parameters.remove(name)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(Unfit(reason)) => {
                self.faults.push(fault(name, &reason));
                None
            }
        }
    }

    /// Says that what was asked for does not fit together.
    pub(crate) fn refuse(&mut self, name: &str, reason: &str) {
        self.faults.push(fault(name, reason));
    }

    /// All parameters have been looked at: whatever is left is unknown.
    pub(crate) fn finish(mut self) -> Result<Conditions, Problem> {
        self.faults
            .extend(self.parameters.keys().map(|name| fault(name, "is not a parameter of this address")));
        if self.faults.is_empty() {
            return Ok(self.conditions);
        }
        Err(Problem::new(&INVALID_REQUEST).faults(self.faults))
    }
}

/// A fault of a query parameter: its place is a pointer into the query, as if it were an object.
fn fault(name: &str, reason: &str) -> Fault {
    Fault { pointer: format!("/query/{name}"), detail: reason.to_owned() }
}

fn conditions(headers: &HeaderMap, faults: &mut Vec<Fault>) -> Conditions {
    let at_least = read(AT_LEAST, "must be a position: a whole number", headers, faults);
    let last_event_id = read("last-event-id", "must be the id of an event of this stream", headers, faults);
    let wait =
        headers.get_all("prefer").iter().filter_map(|prefer| prefer.to_str().ok()).find_map(wait_seconds);
    let wait_seconds = wait.unwrap_or(0).min(WAIT_SECONDS_MAX);
    Conditions {
        at_least,
        deadline: Instant::now() + Duration::from_secs(wait_seconds),
        waits: wait.is_some(),
        if_none_match: headers
            .get(header::IF_NONE_MATCH)
            .and_then(|tags| tags.to_str().ok())
            .map(str::to_owned),
        last_event_id,
    }
}

/// A header, if it was given and can be read.
fn read<T: FromStr>(name: &str, rule: &str, headers: &HeaderMap, faults: &mut Vec<Fault>) -> Option<T> {
    let text = headers.get(name)?.to_str().ok().map(str::trim);
    let value = text.and_then(|text| text.parse().ok());
    if value.is_none() {
        faults.push(Fault { pointer: format!("/headers/{name}"), detail: rule.to_owned() });
    }
    value
}

/// The seconds of `wait=` in a `Prefer` header (RFC 7240); preferences that are not understood are
/// ignored, as the RFC says.
fn wait_seconds(prefer: &str) -> Option<u64> {
    prefer.split([',', ';']).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        (name.trim().eq_ignore_ascii_case("wait")).then(|| value.trim().trim_matches('"').parse().ok())?
    })
}

/// One of a few words.
pub(crate) fn one_of(words: &'static [&'static str]) -> impl FnOnce(&str) -> Result<&'static str, Unfit> {
    move |text| {
        let found = words.iter().find(|word| **word == text);
        found.copied().ok_or_else(|| Unfit::new(format_args!("must be one of {}", words.join(", "))))
    }
}

/// An id.
pub(crate) fn id(text: &str) -> Result<uuid::Uuid, Unfit> {
    text.parse().map_err(|_| Unfit::new("must be a UUID"))
}

/// A day, as `2026-03-01`.
pub(crate) fn day(text: &str) -> Result<NaiveDate, Unfit> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|day| (1..=9999).contains(&day.year()))
        .ok_or_else(|| Unfit::new("must be a day such as 2026-03-01"))
}

/// A moment: RFC 3339, or a day, which begins at midnight UTC.
pub(crate) fn moment(text: &str) -> Result<DateTime<Utc>, Unfit> {
    if let Ok(day) = day(text) {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.with_timezone(&Utc))
        .map_err(|_| Unfit::new("must be a time such as 2026-03-01T12:00:00Z, or a day"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_wait_is_found_among_other_preferences() {
        assert_eq!(wait_seconds("respond-async, wait=10"), Some(10));
        assert_eq!(wait_seconds("Wait=\"5\"; foo=bar"), Some(5));
        assert_eq!(wait_seconds("return=minimal"), None);
        assert_eq!(wait_seconds("wait=soon"), None);
    }

    #[test]
    fn a_day_is_midnight_and_years_that_no_calendar_shows_are_refused() {
        assert_eq!(moment("2026-03-01").ok().unwrap().to_rfc3339(), "2026-03-01T00:00:00+00:00");
        assert_eq!(
            moment("2026-03-01T02:00:00+02:00").ok().unwrap().to_rfc3339(),
            "2026-03-01T00:00:00+00:00"
        );
        assert!(moment("+120000-01-01").is_err());
        assert!(day("2026-02-30").is_err());
    }
}
