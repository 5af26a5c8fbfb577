//! Nothing missing, nothing twice: the revisions of each stream, as they come, against what they should be.

use std::collections::HashMap;

use event_store::Position;

use crate::message::Received;

/// What is wrong with the place where an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Events of its stream that should have come before have not.
    Gap {
        /// The first revision that is missing.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// It came before.
    Double,
    /// It was missing, and comes behind later events of its stream.
    Late,
}

/// What came through a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Events, each time that one came.
    pub events: u64,
    /// How many streams they are of.
    pub streams: u64,
    /// Events that are missing; `None` where the subject lets only some of a stream's events through, so that
    /// nobody can tell.
    pub missing: Option<u64>,
    /// Events that came again.
    pub doubles: u64,
    /// Events that came behind later ones of their stream.
    pub late: u64,
    /// Messages that no relay published.
    pub strange: u64,
    /// The greatest position that came.
    pub position: Option<Position>,
}

/// One stream.
#[derive(Debug)]
struct Track {
    last: u64,
    /// Ranges of revisions that have not come, the ends included.
    missing: Vec<(u64, u64)>,
}

/// What came, by stream. Takes a few bytes for each stream, and for each gap.
#[derive(Debug)]
pub(super) struct Continuity {
    streams: HashMap<String, Track>,
    /// Every event of a stream comes, or none does.
    whole_streams: bool,
    /// The first event of a stream is the first that comes of it.
    from_the_first: bool,
    counted: Summary,
}

impl Continuity {
    /// For what comes on `subject`; `from_the_first` when everything is there that was ever published.
    pub(super) fn new(subject: &str, from_the_first: bool) -> Self {
        Self {
            streams: HashMap::new(),
            whole_streams: lets_whole_streams_through(subject),
            from_the_first,
            counted: Summary::default(),
        }
    }

    /// Takes note of an event.
    pub(super) fn see(&mut self, received: &Received) -> Option<Finding> {
        self.counted.events += 1;
        self.counted.position = self.counted.position.max(Some(received.position));
        let finding = self.place(&received.stream, received.revision);
        match finding {
            Some(Finding::Double) => self.counted.doubles += 1,
            Some(Finding::Late) => self.counted.late += 1,
            Some(Finding::Gap { .. }) | None => {}
        }
        finding
    }

    /// Takes note of a message that is none of ours.
    pub(super) fn strange(&mut self) {
        self.counted.strange += 1;
    }

    pub(super) fn summary(&self) -> Summary {
        let missing = self.streams.values().flat_map(|track| &track.missing);
        let missing = missing.map(|(first, last)| last - first + 1).sum();
        Summary {
            streams: self.streams.len() as u64,
            missing: self.whole_streams.then_some(missing),
            ..self.counted
        }
    }

    fn place(&mut self, stream: &str, revision: u64) -> Option<Finding> {
        let Some(track) = self.streams.get_mut(stream) else {
            let gap = self.whole_streams && self.from_the_first && revision > 0;
            let missing = if gap { vec![(0, revision - 1)] } else { Vec::new() };
            self.streams.insert(stream.to_owned(), Track { last: revision, missing });
            return gap.then(|| Finding::Gap { first: 0, last: revision - 1 });
        };
        if revision <= track.last {
            return Some(if track.fill(revision) { Finding::Late } else { Finding::Double });
        }
        let expected = track.last + 1;
        track.last = revision;
        if revision == expected || !self.whole_streams {
            return None;
        }
        track.missing.push((expected, revision - 1));
        Some(Finding::Gap { first: expected, last: revision - 1 })
    }
}

impl Track {
    /// Takes a revision out of those that are missing; says whether it was.
    fn fill(&mut self, revision: u64) -> bool {
        let is_in = |(first, last): &(u64, u64)| (*first..=*last).contains(&revision);
        let Some(at) = self.missing.iter().position(is_in) else { return false };
        let (first, last) = self.missing.swap_remove(at);
        if first < revision {
            self.missing.push((first, revision - 1));
        }
        if revision < last {
            self.missing.push((revision + 1, last));
        }
        true
    }
}

/// Whether a subject leaves no event of a stream out: it ends in a wildcard for the event's name.
fn lets_whole_streams_through(subject: &str) -> bool {
    let tokens: Vec<&str> = subject.split('.').collect();
    match tokens.as_slice() {
        [.., ">"] => tokens.len() <= 3,
        [_, _, "*"] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(continuity: &mut Continuity, revisions: &[u64]) -> Vec<Option<Finding>> {
        revisions.iter().map(|revision| continuity.place("order-1", *revision)).collect()
    }

    #[test]
    fn a_gap_shows_once_and_is_closed_by_what_comes_late() {
        let mut whole = Continuity::new("counterfoil.order.>", true);
        let gap = |first, last| Some(Finding::Gap { first, last });
        let findings = seen(&mut whole, &[1, 2, 6, 4, 4, 7, 7]);
        let (late, double) = (Some(Finding::Late), Some(Finding::Double));
        assert_eq!(findings, [gap(0, 0), None, gap(3, 5), late, double, None, double]);
        assert_eq!(whole.summary().missing, Some(3));
        assert_eq!(seen(&mut whole, &[3, 5, 0]), [late; 3]);
        assert_eq!(whole.summary().missing, Some(0));
    }

    #[test]
    fn who_begins_in_the_middle_misses_nothing_of_before() {
        let mut middle = Continuity::new("counterfoil.>", false);
        assert_eq!(seen(&mut middle, &[5, 6]), [None, None]);
    }

    #[test]
    fn a_subject_that_leaves_events_out_cannot_tell_what_is_missing() {
        let mut part = Continuity::new("counterfoil.order.OrderPlaced", true);
        assert_eq!(seen(&mut part, &[0, 3, 3]), [None, None, Some(Finding::Double)]);
        assert_eq!(part.summary().missing, None);
        for (subject, whole) in [
            (">", true),
            ("counterfoil.>", true),
            ("counterfoil.*.*", true),
            ("counterfoil.order.*", true),
            ("counterfoil.*.OrderPlaced", false),
            ("counterfoil.order", false),
        ] {
            assert_eq!(lets_whole_streams_through(subject), whole, "{subject}");
        }
    }
}
