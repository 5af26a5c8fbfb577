//! An event of the log on its way into read models: decoded once, by whichever of them needs it first.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
};

use event_store::RecordedEvent;

use crate::{Fact, fact::Unreadable};

/// An event, and what it says.
#[derive(Debug)]
pub(crate) struct Entry {
    event: RecordedEvent,
    fact: OnceLock<Result<Fact, Unreadable>>,
}

impl Entry {
    /// For all who want the event.
    pub(crate) fn shared(event: RecordedEvent) -> Arc<Self> {
        Arc::new(Self { event, fact: OnceLock::new() })
    }

    /// What happened, or why that cannot be known.
    pub(crate) fn fact(&self) -> Result<&Fact, &Unreadable> {
        self.fact.get_or_init(|| Fact::read(&self.event)).as_ref()
    }
}

impl Deref for Entry {
    type Target = RecordedEvent;

    fn deref(&self) -> &RecordedEvent {
        &self.event
    }
}
