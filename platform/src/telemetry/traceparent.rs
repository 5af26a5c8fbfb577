//! The `traceparent` header of W3C Trace Context, level 1: which trace a request belongs to. A header
//! that breaks the rules is treated as absent, as the specification asks.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// A trace, and the span in it that called us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    trace_id: Uuid,
    parent_id: u64,
    flags: u8,
}

/// The header is absent or not well-formed: a new trace begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of W3C Trace Context")]
pub struct NotATraceparent;

impl Traceparent {
    /// Begins a trace with this id.
    pub fn begin(trace_id: Uuid) -> Self {
        Self { trace_id, parent_id: rand::random::<u64>().max(1), flags: 1 }
    }

    /// The trace, as the id of all that belongs together.
    pub fn trace_id(&self) -> Uuid {
        self.trace_id
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace_id.simple(), self.parent_id, self.flags)
    }
}

impl FromStr for Traceparent {
    type Err = NotATraceparent;

    /// Versions after 00 may append fields; what we know of them stays in its place.
    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        let mut parts = text.split('-');
        let mut next = |length| {
            let part = parts.next().filter(|part| part.len() == length && is_lower_hex(part));
            part.ok_or(NotATraceparent)
        };
        let (version, trace, parent, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let trailing = parts.next().is_some();
        let trace_id = Uuid::try_parse(trace).map_err(|_| NotATraceparent)?;
        let parent_id = u64::from_str_radix(parent, 16).map_err(|_| NotATraceparent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NotATraceparent)?;
        if version == "ff" || (version == "00" && trailing) || trace_id.is_nil() || parent_id == 0 {
            return Err(NotATraceparent);
        }
        Ok(Self { trace_id, parent_id, flags })
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_written_as_it_was_read() {
        let read: Traceparent = GIVEN.parse().unwrap();
        assert_eq!(read.to_string(), GIVEN);
        assert_eq!(read.trace_id().simple().to_string(), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn one_that_we_begin_can_be_read_back() {
        let begun = Traceparent::begin(Uuid::from_u128(7));
        assert_eq!(begun.to_string().parse(), Ok(begun));
    }

    #[test]
    fn broken_ones_are_refused() {
        for broken in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(broken.parse::<Traceparent>(), Err(NotATraceparent), "{broken}");
        }
    }

    #[test]
    fn a_later_version_with_more_fields_is_read_as_far_as_we_know_it() {
        let later = GIVEN.replacen("00", "01", 1) + "-more";
        assert_eq!(later.parse::<Traceparent>().unwrap().to_string(), GIVEN);
    }
}
