//! Who waits and who works: a queue for each key, so that its jobs are done in order, and a bound on how many
//! keys are worked on at once. Calls to the provider have a bound of their own, so that a slow provider keeps
//! nobody else waiting.

use std::collections::{HashMap, HashSet, VecDeque};

use event_store::Position;
use tokio::task::{AbortHandle, Id};

use crate::coordinator::{
    Config,
    memories::Memory,
    partition::Partition,
    state::Key,
    worker::{Job, Next},
};

/// A step that has ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) memory: Memory,
    /// `None` when it was not finished, and is to be done again by whoever has the partition next.
    pub(super) next: Option<Next>,
}

/// A job, and the position whose handling it belongs to.
type Queued = (Job, Option<Position>);

/// The queues of all keys that have work.
#[derive(Debug)]
pub(super) struct Lanes {
    /// A key is here while it has jobs; the first of them is being done when the key is not ready.
    queues: HashMap<Key, VecDeque<Queued>>,
    checkouts: Crew,
    payments: Crew,
    tasks: HashMap<Id, (Key, AbortHandle)>,
}

/// Those who share a bound.
#[derive(Debug)]
struct Crew {
    ready: VecDeque<Key>,
    working: usize,
    working_max: usize,
}

impl Crew {
    fn of(working_max: usize) -> Self {
        Self { ready: VecDeque::new(), working: 0, working_max: working_max.max(1) }
    }

    fn next(&mut self) -> Option<Key> {
        if self.working >= self.working_max {
            return None;
        }
        let key = self.ready.pop_front()?;
        self.working += 1;
        Some(key)
    }

    fn forget(&mut self, partition: Partition) {
        self.ready.retain(|key| Partition::of(key) != partition);
    }
}

impl Lanes {
    /// Nobody waits.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            queues: HashMap::new(),
            checkouts: Crew::of(config.concurrency),
            payments: Crew::of(config.provider_concurrency),
            tasks: HashMap::new(),
        }
    }

    /// A job waits behind the others of its key.
    pub(super) fn push(&mut self, key: Key, job: Job, position: Option<Position>) {
        let queue = self.queues.entry(key.clone()).or_default();
        queue.push_back((job, position));
        if queue.len() == 1 {
            self.crew(&key).ready.push_back(key);
        }
    }

    /// The next job that may be done now.
    pub(super) fn next_ready(&mut self) -> Option<(Key, Job)> {
        let key = self.checkouts.next().or_else(|| self.payments.next())?;
        let (job, _) = self.queues.get(&key)?.front()?;
        Some((key.clone(), job.clone()))
    }

    /// A task does the first job of this key.
    pub(super) fn started(&mut self, task: AbortHandle, key: Key) {
        self.tasks.insert(task.id(), (key, task));
    }

    /// The task has ended; this is the key that it worked on, unless that was forgotten.
    pub(super) fn forget_task(&mut self, task: Id) -> Option<Key> {
        self.tasks.remove(&task).map(|(key, _)| key)
    }

    /// The first job of this key is done. Answers the position that it belongs to.
    pub(super) fn finished(&mut self, key: &Key) -> Option<Position> {
        let crew = self.crew(key);
        crew.working = crew.working.saturating_sub(1);
        let queue = self.queues.get_mut(key)?;
        let (_, position) = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(key);
        } else {
            self.crew(key).ready.push_back(key.clone());
        }
        position
    }

    /// The first job of this key was not done, and nothing more is done for this key.
    pub(super) fn abandoned(&mut self, key: &Key) {
        let crew = self.crew(key);
        crew.working = crew.working.saturating_sub(1);
    }

    /// Whether a task works on a key of this partition.
    pub(super) fn is_at_work_on(&self, partition: Partition) -> bool {
        self.tasks.values().any(|(key, _)| Partition::of(key) == partition)
    }

    /// Nothing more is begun in this partition; what was begun goes on.
    pub(super) fn close(&mut self, partition: Partition) {
        self.checkouts.forget(partition);
        self.payments.forget(partition);
        let at_work: HashSet<&Key> = self.tasks.values().map(|(key, _)| key).collect();
        self.queues.retain(|key, queue| {
            let stays = Partition::of(key) != partition;
            if !stays {
                queue.truncate(1);
            }
            stays || at_work.contains(key)
        });
    }

    /// Ends whatever is done in this partition, as if killed.
    pub(super) fn forget(&mut self, partition: Partition) {
        let ended: Vec<Id> = self
            .tasks
            .iter()
            .filter(|(_, (key, _))| Partition::of(key) == partition)
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            if let Some((key, task)) = self.tasks.remove(&id) {
                task.abort();
                self.abandoned(&key);
            }
        }
        self.checkouts.forget(partition);
        self.payments.forget(partition);
        self.queues.retain(|key, _| Partition::of(key) != partition);
    }

    fn crew(&mut self, key: &Key) -> &mut Crew {
        match key {
            Key::Checkout(_) | Key::Webhook(_) => &mut self.checkouts,
            Key::Payment(_) => &mut self.payments,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinHandle;

    use super::*;

    fn lanes() -> Lanes {
        Lanes::new(&Config { concurrency: 2, provider_concurrency: 1, ..Config::for_holder("test") })
    }

    fn at(column: i64) -> Position {
        Position::from_column(column).unwrap_or_default()
    }

    fn key(name: &str) -> Key {
        Key::Webhook(name.to_owned())
    }

    fn payment() -> Key {
        Key::Payment(events::ids::PaymentId(uuid::Uuid::nil()))
    }

    fn ready(lanes: &mut Lanes) -> Vec<Key> {
        std::iter::from_fn(|| lanes.next_ready()).map(|(key, _)| key).collect()
    }

    #[test]
    fn the_jobs_of_a_key_are_done_one_after_the_other() {
        let mut lanes = lanes();
        lanes.push(key("a"), Job::Wake, Some(at(1)));
        lanes.push(key("a"), Job::Wake, Some(at(2)));
        assert_eq!(ready(&mut lanes), [key("a")]);
        assert_eq!(lanes.finished(&key("a")), Some(at(1)));
        assert_eq!(ready(&mut lanes), [key("a")]);
        assert_eq!(lanes.finished(&key("a")), Some(at(2)));
        assert_eq!(ready(&mut lanes), []);
    }

    #[test]
    fn no_more_keys_are_worked_on_than_the_bound_and_payments_have_their_own() {
        let mut lanes = lanes();
        for name in ["a", "b", "c"] {
            lanes.push(key(name), Job::Wake, None);
        }
        lanes.push(payment(), Job::Wake, None);
        assert_eq!(ready(&mut lanes), [key("a"), key("b"), payment()]);
        lanes.finished(&key("b"));
        assert_eq!(ready(&mut lanes), [key("c")]);
    }

    /// A task that never ends works on the first job of this key.
    fn at_work_on(lanes: &mut Lanes, key: &Key) -> JoinHandle<()> {
        let task = tokio::spawn(std::future::pending());
        lanes.started(task.abort_handle(), key.clone());
        task
    }

    #[tokio::test]
    async fn in_a_closed_partition_what_was_begun_goes_on_and_nothing_else_is_begun() {
        let mut lanes = lanes();
        for _ in 0..2 {
            lanes.push(key("a"), Job::Wake, Some(at(1)));
        }
        assert_eq!(ready(&mut lanes), [key("a")]);
        let task = at_work_on(&mut lanes, &key("a"));
        lanes.close(Partition::of(&key("a")));
        assert!(lanes.is_at_work_on(Partition::of(&key("a"))));
        assert_eq!(lanes.forget_task(task.id()), Some(key("a")));
        assert_eq!(lanes.finished(&key("a")), Some(at(1)));
        assert!(!lanes.is_at_work_on(Partition::of(&key("a"))));
        assert_eq!(ready(&mut lanes), []);
    }

    #[tokio::test]
    async fn what_is_done_in_a_forgotten_partition_is_ended_and_makes_room_for_others() {
        let mut lanes = lanes();
        let (lost, other) = (key("a"), key("c"));
        assert_ne!(Partition::of(&lost), Partition::of(&other));
        for _ in 0..2 {
            lanes.push(lost.clone(), Job::Wake, None);
        }
        assert_eq!(ready(&mut lanes), std::slice::from_ref(&lost));
        let task = at_work_on(&mut lanes, &lost);
        lanes.push(other.clone(), Job::Wake, None);
        lanes.push(payment(), Job::Wake, None);
        lanes.forget(Partition::of(&lost));
        assert_eq!(lanes.forget_task(task.id()), None);
        let ended = tokio::time::timeout(Duration::from_secs(10), task).await;
        assert!(ended.is_ok_and(|ended| ended.is_err_and(|error| error.is_cancelled())));
        assert_eq!(lanes.checkouts.working, 0);
        assert_eq!(ready(&mut lanes), [other, payment()]);
        lanes.push(lost.clone(), Job::Wake, None);
        assert_eq!(ready(&mut lanes), [lost]);
    }
}
