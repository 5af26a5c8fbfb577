//! The newest events of the log that this process has appended itself, without a gap between them: whoever
//! follows the log in this process reads them here and not in the database. **What is kept here was
//! committed**, and nothing is passed over: a reader who wants anything else is sent to the database.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{Filter, Page, Position, RecordedEvent};

/// How much is kept at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecentLimits {
    pub(super) events_max: usize,
    pub(super) bytes_max: usize,
}

/// How long a reader waits at most for the end of a commit that was begun here.
const COMMIT_PATIENCE: Duration = Duration::from_millis(20);

/// The end of the log, as far as it is known here.
#[derive(Debug)]
pub(super) struct Recent {
    limits: RecentLimits,
    kept: Mutex<Kept>,
    /// Whether this process is committing, and how many commits it has ended.
    commits: watch::Sender<(bool, u64)>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Each at the position behind the one before.
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
}

impl Recent {
    /// Nothing yet.
    pub(super) fn new(limits: RecentLimits) -> Self {
        Self { limits, kept: Mutex::default(), commits: watch::Sender::default() }
    }

    /// This process begins to commit.
    pub(super) fn commit_begins(&self) {
        self.commits.send_modify(|(committing, _)| *committing = true);
    }

    /// What it committed is kept here by now.
    pub(super) fn commit_ended(&self) {
        self.commits.send_modify(|(committing, ended)| (*committing, *ended) = (false, *ended + 1));
    }

    /// Waits a little for what is most likely behind `after`: the events that this process is just committing. The
    /// database may have told of them before it answered the one who wrote them.
    pub(super) async fn soon_behind(&self, after: Position) {
        let mut commits = self.commits.subscribe();
        let (committing, ended) = *commits.borrow_and_update();
        if committing && self.ends_at(after) {
            let next = commits.wait_for(|(_, now)| *now > ended);
            let _ = tokio::time::timeout(COMMIT_PATIENCE, next).await;
        }
    }

    fn ends_at(&self, position: Position) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.events.back().is_some_and(|last| last.position == position)
    }

    /// Takes what was committed together. Where others have written in between, it begins anew.
    pub(super) fn extend(&self, committed: Vec<RecordedEvent>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for event in committed {
            if kept.events.back().is_some_and(|last| !follows(last.position, event.position)) {
                *kept = Kept::default();
            }
            kept.bytes += event.payload.len();
            kept.events.push_back(Arc::new(event));
        }
        while kept.events.len() > self.limits.events_max || kept.bytes > self.limits.bytes_max {
            let Some(oldest) = kept.events.pop_front() else { break };
            kept.bytes -= oldest.payload.len();
        }
    }

    /// The page behind `after`, when the event there is kept; `head` is the end of the log as far as
    /// anybody here has heard.
    pub(super) fn page(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
        head: Position,
    ) -> Option<Page> {
        let seen = self.behind(after, limit)?;
        let scanned = seen.last()?.position;
        let events = seen.into_iter().filter(|event| filter.wants(event));
        let events = events.map(Arc::unwrap_or_clone).collect();
        Some(Page { events, scanned, end: scanned >= head })
    }

    /// The next events behind `after`, at most `limit`.
    fn behind(&self, after: Position, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.events.front()?.position.number();
        let skip = usize::try_from((after.number() + 1).checked_sub(first)?).ok()?;
        if skip >= kept.events.len() {
            return None;
        }
        Some(kept.events.iter().skip(skip).take(limit).cloned().collect())
    }
}

fn follows(before: Position, position: Position) -> bool {
    before.number() + 1 == position.number()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use events::{Actor, Category, Metadata};
    use uuid::Uuid;

    use super::*;

    const ROOMY: RecentLimits = RecentLimits { events_max: 100, bytes_max: 1_000 };

    fn event(position: u64) -> RecordedEvent {
        RecordedEvent {
            position: Position::of(position),
            stream: (if position.is_multiple_of(2) { Category::Order } else { Category::Payment })
                .stream(position),
            revision: 0,
            id: Uuid::from_u128(position.into()),
            name: "OrderPlaced".to_owned(),
            version: 1,
            payload: bytes::Bytes::from_static(b"{\"a\":12345}"),
            metadata: Metadata {
                occurred_at: chrono::DateTime::UNIX_EPOCH,
                correlation_id: Uuid::nil(),
                causation_id: Uuid::nil(),
                command_id: Uuid::nil(),
                request_digest: None,
                actor: Actor::Operator,
                traceparent: None,
            },
            recorded_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn events(positions: std::ops::RangeInclusive<u64>) -> Vec<RecordedEvent> {
        positions.map(event).collect()
    }

    /// The positions of a page, where it ends, and whether that is the end of the log.
    fn page(recent: &Recent, after: u64, filter: &Filter, limit: usize) -> Option<(Vec<u64>, u64, bool)> {
        let page = recent.page(Position::of(after), filter, limit, Position::of(9))?;
        Some((
            page.events.iter().map(|event| event.position.number()).collect(),
            page.scanned.number(),
            page.end,
        ))
    }

    #[test]
    fn a_page_goes_on_where_its_reader_is_and_says_how_far_it_looked() {
        let recent = Recent::new(ROOMY);
        recent.extend(events(4..=6));
        recent.extend(events(7..=9));
        let (all, orders) = (Filter::all(), Filter::categories([Category::Order]));
        assert_eq!(page(&recent, 3, &all, 4), Some((vec![4, 5, 6, 7], 7, false)));
        assert_eq!(page(&recent, 7, &all, 4), Some((vec![8, 9], 9, true)));
        assert_eq!(page(&recent, 4, &orders, 3), Some((vec![6], 7, false)));
    }

    #[test]
    fn who_wants_what_is_not_kept_is_sent_to_the_database() {
        let recent = Recent::new(ROOMY);
        assert_eq!(page(&recent, 0, &Filter::all(), 10), None);
        recent.extend(events(4..=6));
        assert_eq!(page(&recent, 2, &Filter::all(), 10), None);
        assert_eq!(page(&recent, 6, &Filter::all(), 10), None);
        assert_eq!(page(&recent, 60, &Filter::all(), 10), None);
    }

    #[test]
    fn what_others_wrote_in_between_is_not_passed_over() {
        let recent = Recent::new(ROOMY);
        recent.extend(events(1..=3));
        recent.extend(events(5..=6));
        assert_eq!(page(&recent, 2, &Filter::all(), 10), None);
        assert_eq!(page(&recent, 3, &Filter::all(), 10), None);
        assert_eq!(page(&recent, 4, &Filter::all(), 10), Some((vec![5, 6], 6, false)));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_large() {
        let few = Recent::new(RecentLimits { events_max: 3, ..ROOMY });
        few.extend(events(1..=5));
        assert_eq!(page(&few, 1, &Filter::all(), 10), None);
        assert_eq!(page(&few, 2, &Filter::all(), 10), Some((vec![3, 4, 5], 5, false)));
        let small = Recent::new(RecentLimits { bytes_max: 25, ..ROOMY });
        small.extend(events(1..=5));
        assert_eq!(page(&small, 3, &Filter::all(), 10), Some((vec![4, 5], 5, false)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_at_the_end_of_what_is_kept_waits_a_little_for_the_commit_that_is_on_its_way() {
        let recent = Recent::new(ROOMY);
        recent.extend(events(1..=3));
        let began = tokio::time::Instant::now();
        // Nothing is being committed, or it will not be what is asked for.
        recent.soon_behind(Position::of(3)).await;
        recent.commit_begins();
        recent.soon_behind(Position::of(2)).await;
        assert_eq!(began.elapsed(), Duration::ZERO);

        let waiting = recent.soon_behind(Position::of(3));
        let committing = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            recent.extend(events(4..=4));
            recent.commit_ended();
            // The next one begins before anybody has looked.
            recent.commit_begins();
        };
        tokio::join!(waiting, committing);
        assert_eq!(began.elapsed(), Duration::from_millis(5));
        recent.soon_behind(Position::of(4)).await;
        assert_eq!(began.elapsed(), Duration::from_millis(5) + COMMIT_PATIENCE);
    }
}
