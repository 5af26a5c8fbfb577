//! What any append must be before an adapter looks at it. The same limits hold for every adapter, so
//! that a history which one of them took fits into another.

use std::{collections::HashSet, fmt};

use events::StreamName;

use crate::{AppendError, NewEvent};

/// The most events in one append.
pub const APPEND_EVENTS_MAX: usize = 1_000;
/// The most bytes in one append: payloads and envelopes together.
pub const APPEND_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes in the payload of one event.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes in the wire name of an event.
pub const EVENT_NAME_BYTES_MAX: usize = 100;

/// What the envelope of an event is counted as, without looking at it.
const ENVELOPE_BYTES: usize = 512;

/// How much of [`APPEND_BYTES_MAX`] the events take.
pub(crate) fn size_bytes(events: &[NewEvent]) -> usize {
    events.iter().map(|event| event.payload.len() + ENVELOPE_BYTES).sum()
}

/// Refuses what no store could keep.
pub(crate) fn check(stream: &StreamName, events: &[NewEvent]) -> Result<(), AppendError> {
    well_formed(stream, events)?;
    within_limits(stream, events)
}

fn well_formed(stream: &StreamName, events: &[NewEvent]) -> Result<(), AppendError> {
    let malformed = |reason: String| Err(AppendError::Malformed { stream: stream.clone(), reason });
    if events.is_empty() {
        return malformed("it has no events".to_owned());
    }
    if stream.id().is_empty() || stream.as_str().contains('\0') {
        return malformed(format!("no stream can be called {:?}", stream.as_str()));
    }
    let mut seen = HashSet::with_capacity(events.len());
    for NewEvent { id, name, version, .. } in events {
        if !seen.insert(id) {
            return malformed(format!("event id {id} is in it twice"));
        }
        if name.is_empty() || name.contains('\0') {
            return malformed(format!("event {id} has no usable name: {name:?}"));
        }
        if *version == 0 || i16::try_from(*version).is_err() {
            return malformed(format!("event {id} has version {version}; they run from 1 to {}", i16::MAX));
        }
    }
    Ok(())
}

fn within_limits(stream: &StreamName, events: &[NewEvent]) -> Result<(), AppendError> {
    let at_most = |max: usize, unit: &str, is: usize, what: &dyn fmt::Display| {
        if is <= max {
            return Ok(());
        }
        let reason = format!("{what} has {is} {unit}, and {max} are the most");
        Err(AppendError::TooLarge { stream: stream.clone(), reason })
    };
    at_most(StreamName::BYTES_MAX, "bytes", stream.as_str().len(), &"the name of its stream")?;
    at_most(APPEND_EVENTS_MAX, "events", events.len(), &"it")?;
    for NewEvent { id, name, payload, .. } in events {
        at_most(EVENT_NAME_BYTES_MAX, "bytes", name.len(), &format_args!("the name of event {id}"))?;
        at_most(PAYLOAD_BYTES_MAX, "bytes", payload.len(), &format_args!("the payload of event {id}"))?;
    }
    at_most(APPEND_BYTES_MAX, "bytes", size_bytes(events), &"it")
}
