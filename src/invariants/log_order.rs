//! I9: positions are dense and ordered, revisions are dense in each stream, no event is there twice, and
//! each subscriber was given every event once and in order.

use std::collections::{HashMap, HashSet};

use event_store::{Position, RecordedEvent};
use events::StreamName;
use uuid::Uuid;

use super::{Subscriber, Violation, report::Findings};

#[derive(Debug, Default)]
pub(super) struct LogOrder {
    last: Position,
    events: u64,
    ids: HashSet<Uuid>,
    next_revisions: HashMap<StreamName, u64>,
}

impl LogOrder {
    pub(super) fn take(&mut self, recorded: &RecordedEvent, findings: &mut Findings) {
        let position = recorded.position;
        if position.0 != self.last.0 + 1 {
            findings.broken(Violation::PositionGap { before: self.last, after: position });
        }
        self.last = position;
        self.events += 1;

        let next = self.next_revisions.entry(recorded.stream.clone()).or_default();
        if recorded.revision != *next {
            findings.broken(Violation::RevisionGap {
                stream: recorded.stream.to_string(),
                position,
                expected: *next,
                found: recorded.revision,
            });
        }
        *next = recorded.revision + 1;

        if !self.ids.insert(recorded.id) {
            findings.broken(Violation::EventTwice { event_id: recorded.id, position });
        }
    }

    /// The number of events.
    pub(super) fn finish(&self, head: Position, subscribers: &[Subscriber], findings: &mut Findings) -> u64 {
        if self.last != head {
            findings.broken(Violation::HeadDiffers { last: self.last, head });
        }
        for subscriber in subscribers {
            let mut before = subscriber.after;
            for after in &subscriber.seen {
                if after.0 != before.0 + 1 {
                    let subscriber = subscriber.name.clone();
                    findings.broken(Violation::SubscriberSkipped { subscriber, before, after: *after });
                }
                before = *after;
            }
        }
        self.events
    }
}
