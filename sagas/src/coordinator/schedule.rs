//! What is to be looked at again and when, and which of it has changed since it was last kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::state::{Key, OF_NEWER_RELEASE, Wake};

/// At most one time for each key.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    wakes: HashMap<Key, Wake>,
    /// Those that were not taken up yet, in order.
    due: BTreeSet<(DateTime<Utc>, Key)>,
    changed: HashSet<Key>,
}

impl Schedule {
    /// What was kept before.
    pub(super) fn restored(mut wakes: Vec<(Key, Wake)>) -> Self {
        // Whoever kept it could not go on; perhaps we can.
        for (_, wake) in wakes.iter_mut().filter(|(_, wake)| wake.waiting == OF_NEWER_RELEASE) {
            wake.due_at = DateTime::UNIX_EPOCH;
        }
        let due = wakes.iter().map(|(key, wake)| (wake.due_at, key.clone())).collect();
        Self { wakes: wakes.into_iter().collect(), due, changed: HashSet::new() }
    }

    /// The key is to be looked at again then, or not at all.
    pub(super) fn set(&mut self, key: &Key, wake: Option<Wake>) {
        let before = match &wake {
            Some(wake) => {
                self.due.insert((wake.due_at, key.clone()));
                self.wakes.insert(key.clone(), wake.clone())
            }
            None => self.wakes.remove(key),
        };
        if before == wake {
            return;
        }
        if let Some(before) = before
            && wake.is_none_or(|wake| wake.due_at != before.due_at)
        {
            self.due.remove(&(before.due_at, key.clone()));
        }
        self.changed.insert(key.clone());
    }

    /// Takes up the first that is due. It stays kept until it is set again: whoever took it up may be
    /// killed before that.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Option<Key> {
        let (due_at, _) = self.due.first()?;
        if *due_at > now {
            return None;
        }
        self.due.pop_first().map(|(_, key)| key)
    }

    /// What is due next, and when.
    pub(super) fn first_due(&self) -> Option<&(DateTime<Utc>, Key)> {
        self.due.first()
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.first().map(|(due_at, _)| *due_at)
    }

    /// What has changed since this was last asked.
    pub(super) fn take_changes(&mut self) -> Vec<(Key, Option<Wake>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| (key.clone(), self.wakes.get(&key).cloned())).collect()
    }

    /// The changes could not be kept.
    pub(super) fn put_back(&mut self, changes: Vec<(Key, Option<Wake>)>) {
        self.changed.extend(changes.into_iter().map(|(key, _)| key));
    }

    /// Whether something has changed that was not kept.
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// How many wait for what.
    pub(super) fn waiting(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for wake in self.wakes.values() {
            *counts.entry(wake.waiting.clone()).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn key(name: &str) -> Key {
        Key::Webhook(name.to_owned())
    }

    fn wake(seconds: i64) -> Wake {
        Wake { due_at: at(seconds), waiting: "test".to_owned() }
    }

    #[test]
    fn what_is_due_is_taken_up_once_and_in_order() {
        let mut schedule = Schedule::restored(vec![(key("late"), wake(20)), (key("early"), wake(10))]);
        assert_eq!(schedule.take_due(at(9)), None);
        assert_eq!(schedule.take_due(at(30)), Some(key("early")));
        assert_eq!(schedule.take_due(at(30)), Some(key("late")));
        assert_eq!(schedule.take_due(at(30)), None);
        assert!(!schedule.has_changes());
    }

    #[test]
    fn what_waits_for_a_newer_release_is_due_for_whoever_comes_next() {
        let wake = Wake { waiting: OF_NEWER_RELEASE.to_owned(), ..wake(20) };
        let mut schedule = Schedule::restored(vec![(key("a"), wake.clone())]);
        assert_eq!(schedule.take_due(at(0)), Some(key("a")));
        // Not again at once for one that cannot go on, either.
        schedule.set(&key("a"), Some(wake));
        assert_eq!(schedule.take_due(at(19)), None);
    }

    #[test]
    fn what_is_set_again_has_only_its_new_time() {
        let mut schedule = Schedule::default();
        schedule.set(&key("a"), Some(wake(10)));
        schedule.set(&key("a"), Some(wake(20)));
        assert_eq!(schedule.next_due(), Some(at(20)));
        assert_eq!(schedule.take_due(at(20) - TimeDelta::milliseconds(1)), None);
        schedule.set(&key("a"), None);
        assert_eq!(schedule.take_due(at(30)), None);
        assert_eq!(schedule.take_changes(), [(key("a"), None)]);
    }

    #[test]
    fn what_was_taken_up_and_is_set_to_the_same_time_is_due_again() {
        let mut schedule = Schedule::restored(vec![(key("a"), wake(10))]);
        assert_eq!(schedule.take_due(at(10)), Some(key("a")));
        schedule.set(&key("a"), Some(wake(10)));
        assert_eq!(schedule.take_due(at(10)), Some(key("a")));
    }

    #[test]
    fn changes_that_could_not_be_kept_are_changes_still() {
        let mut schedule = Schedule::default();
        schedule.set(&key("a"), Some(wake(10)));
        let changes = schedule.take_changes();
        assert!(!schedule.has_changes());
        schedule.put_back(changes);
        assert_eq!(schedule.take_changes(), [(key("a"), Some(wake(10)))]);
    }
}
