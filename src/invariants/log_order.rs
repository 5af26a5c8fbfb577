//! I9: positions are ordered, and dense where the store promises that; revisions are dense in each
//! stream; no event is there twice; each subscriber was given every event once and in order, up to where
//! it should be.

use std::collections::{HashMap, HashSet};

use event_store::{Numbering, Position, RecordedEvent};
use events::StreamName;
use uuid::Uuid;

use super::{Subscriber, Violation, report::Findings};

#[derive(Debug)]
pub(super) struct LogOrder {
    numbering: Numbering,
    /// Of every event, in the order in which they were read.
    positions: Vec<Position>,
    ids: HashSet<Uuid>,
    next_revisions: HashMap<StreamName, u64>,
}

impl LogOrder {
    pub(super) fn new(numbering: Numbering) -> Self {
        Self { numbering, positions: Vec::new(), ids: HashSet::new(), next_revisions: HashMap::new() }
    }

    fn last(&self) -> Position {
        self.positions.last().copied().unwrap_or(Position::START)
    }

    pub(super) fn take(&mut self, recorded: &RecordedEvent, findings: &mut Findings) {
        let position = recorded.position;
        let before = self.last();
        let in_order = match self.numbering {
            Numbering::Dense => position > before && position.distance_from(before) == 1,
            Numbering::Sparse => position > before,
        };
        if !in_order {
            findings.broken(Violation::PositionGap { before, after: position });
        }
        self.positions.push(position);

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
        if self.last() != head {
            findings.broken(Violation::HeadDiffers { last: self.last(), head });
        }
        for subscriber in subscribers {
            let mut before = subscriber.after;
            let mut next = self.positions.partition_point(|position| *position <= before);
            for after in &subscriber.seen {
                if self.positions.get(next) != Some(after) {
                    let subscriber = subscriber.name.clone();
                    findings.broken(Violation::SubscriberSkipped { subscriber, before, after: *after });
                }
                before = *after;
                next = self.positions.partition_point(|position| *position <= before);
            }
            if before < subscriber.upto {
                let (subscriber, upto) = (subscriber.name.clone(), subscriber.upto);
                findings.broken(Violation::SubscriberStopped { subscriber, last: before, upto });
            }
        }
        self.positions.len() as u64
    }
}
