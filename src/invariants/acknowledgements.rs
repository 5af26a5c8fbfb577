//! I4: what a client was told is in the log, and no command was carried out twice. The events of a
//! command are one append to one stream, under ids that follow from the command's.

use std::collections::HashMap;

use event_store::{Position, RecordedEvent};
use events::Category;
use uuid::Uuid;

use super::{Acknowledged, Violation, report::Findings};

#[derive(Debug)]
pub(super) struct Acknowledgements<'a> {
    commands: HashMap<Uuid, Run>,
    /// How many events were taken.
    events: u64,
    told: &'a [Acknowledged],
    /// What was told and not yet seen in the log, by position.
    unseen: HashMap<Position, Vec<&'a Acknowledged>>,
}

/// The events of one command.
#[derive(Debug)]
struct Run {
    stream: String,
    first: Position,
    /// How many events of the log were before the first.
    before: u64,
    events: u64,
    next_revision: u64,
}

impl<'a> Acknowledgements<'a> {
    pub(super) fn new(told: &'a [Acknowledged]) -> Self {
        let mut unseen: HashMap<Position, Vec<&Acknowledged>> = HashMap::new();
        for acknowledged in told {
            unseen.entry(acknowledged.position).or_default().push(acknowledged);
        }
        Self { commands: HashMap::new(), events: 0, told, unseen }
    }

    pub(super) fn take(&mut self, recorded: &RecordedEvent, findings: &mut Findings) {
        let stream = recorded.stream.as_str();
        let before = self.events;
        self.events += 1;
        if let Some(unseen) = self.unseen.get_mut(&recorded.position) {
            unseen.retain(|acknowledged| acknowledged.stream != stream);
        }
        if !is_of_commands(recorded.stream.category()) {
            return;
        }
        let command_id = recorded.metadata.command_id;
        let run = self.commands.entry(command_id).or_insert_with(|| Run {
            stream: stream.to_owned(),
            first: recorded.position,
            before,
            events: 0,
            next_revision: recorded.revision,
        });
        let follows = run.stream == stream
            && run.next_revision == recorded.revision
            && run.before + run.events == before;
        if !follows {
            findings.broken(Violation::CarriedOutTwice {
                command_id,
                first: run.first,
                again: recorded.position,
                stream: stream.to_owned(),
            });
            return;
        }
        let derived = Uuid::new_v5(&command_id, run.events.to_string().as_bytes());
        if recorded.id != derived {
            let position = recorded.position;
            findings.broken(Violation::IdNotDerived { event_id: recorded.id, position, command_id });
        }
        run.events += 1;
        run.next_revision += 1;
    }

    pub(super) fn finish(&self, findings: &mut Findings) {
        for told in self.unseen.values().flatten() {
            let position = told.position;
            findings.broken(Violation::AcknowledgedAndLost { stream: told.stream.clone(), position });
        }
        for told in self.told {
            let Some(command_id) = told.command_id else { continue };
            if self.commands.get(&command_id).is_none_or(|run| run.stream != told.stream) {
                findings.broken(Violation::CommandLost { stream: told.stream.clone(), command_id });
            }
        }
    }

    pub(super) fn summary(&self) -> String {
        format!("{} commands, {} acknowledgements", self.commands.len(), self.told.len())
    }
}

/// Whether the command handler writes the streams of a category; sagas write theirs themselves.
fn is_of_commands(category: &str) -> bool {
    Category::ALL.into_iter().any(|known| {
        known.as_str() == category
            && match known {
                Category::Catalog
                | Category::Inventory
                | Category::Order
                | Category::Payment
                | Category::Credit
                | Category::Ledger => true,
                Category::Checkout | Category::Webhook => false,
            }
    })
}
