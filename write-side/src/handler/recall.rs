//! Telling a repeat: has a command with this id been carried out before, and was it the same request?
//! The log itself is the record of that, because the ids of events follow from the command's id.

use event_store::{Direction, EventStore, Position, RecordedEvent, StoreError};
use events::StreamName;

use super::history::{Done, PAGE_EVENTS};
use crate::{CommandContext, Handled};

/// The id was used for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Differs;

/// What a repeat is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The answer of the first time.
    Same(Handled),
    /// That the first time something else was asked for.
    Differs,
}

/// The answer for a command that is remembered as done.
pub(super) fn remembered(done: &Done, context: &CommandContext) -> Repeat {
    if done.request_digest.as_deref() != context.request_digest.as_deref() {
        return Repeat::Differs;
    }
    Repeat::Same(Handled { revision: Some(done.revision), position: done.position, replayed: true })
}

/// Looks in the log for what the command did before; `None` when it did nothing.
pub(super) async fn look_up(
    store: &dyn EventStore,
    stream: &StreamName,
    context: &CommandContext,
) -> Result<Option<Repeat>, StoreError> {
    let events = events_of(store, stream, context).await?;
    Ok(events.map(|events| events.map_or(Repeat::Differs, |events| Repeat::Same(answer(&events)))))
}

/// The events that the command led to before, at least one; `None` when there are none.
pub(super) async fn events_of(
    store: &dyn EventStore,
    stream: &StreamName,
    context: &CommandContext,
) -> Result<Option<Result<Vec<RecordedEvent>, Differs>>, StoreError> {
    let Some(first) = store.find(stream, context.event_id(0)).await? else { return Ok(None) };
    if first.stream != *stream || first.metadata.request_digest != context.request_digest {
        return Ok(Some(Err(Differs)));
    }
    let behind = store.read_stream(stream, Direction::Forwards, Some(first.revision), PAGE_EVENTS).await?;
    let events = behind.into_iter().take_while(|event| event.metadata.command_id == context.command_id);
    Ok(Some(Ok(events.collect())))
}

/// The answer to a command with these events, told again.
pub(super) fn answer(events: &[RecordedEvent]) -> Handled {
    let last = events.last();
    Handled {
        revision: last.map(|event| event.revision),
        position: last.map_or(Position::START, |event| event.position),
        replayed: true,
    }
}
