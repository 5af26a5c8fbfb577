//! Catching up and then going on live, the same for every adapter: pages from behind the last
//! position that was passed on, and a wake when there may be more. A wake is only a hint; what has
//! been seen is decided by positions alone, so that there is neither gap nor double.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{sync::watch, time::Instant};

use crate::{EventStore, Filter, Page, Position, StoreError};

/// How many events a page looks at.
const PAGE_EVENTS: usize = 500;
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// While others write, who is behind rests after each page for so many times as long as it took to read, within
/// bounds: he is late already, and it is the writers who would wait for him. **He rests again only when he is nearer to
/// the end than he was at the last rest**, by half a page: so he gets there, however fast they write, if he would get
/// there without rests.
const REST: u32 = 4;
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_millis(50);

/// The newest position that an adapter has heard of, for those who wait for a newer one.
#[derive(Debug)]
pub(crate) struct Wakes {
    /// Gone once the store is closed.
    head: Mutex<Option<watch::Sender<Position>>>,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Self { head: Mutex::new(Some(watch::Sender::new(Position::START))) }
    }

    /// Wakes everybody up if `head` is news, and says whether it was.
    pub(crate) fn raise(&self, head: Position) -> bool {
        self.with_head(|sender| {
            let raise = |known: &mut Position| std::mem::replace(known, head.max(*known)) < head;
            sender.as_ref().is_some_and(|sender| sender.send_if_modified(raise))
        })
    }

    /// The newest position that was heard of.
    pub(crate) fn heard_of(&self) -> Position {
        self.with_head(|sender| sender.as_ref().map_or(Position::START, |sender| *sender.borrow()))
    }

    /// Whether anybody would wake up.
    pub(crate) fn are_awaited(&self) -> bool {
        self.with_head(|sender| sender.as_ref().is_some_and(|sender| sender.receiver_count() > 0))
    }

    /// Lets everybody who waits know that nothing more will come.
    pub(crate) fn end(&self) {
        self.with_head(|sender| drop(sender.take()));
    }

    pub(crate) fn have_ended(&self) -> bool {
        self.with_head(|sender| sender.is_none())
    }

    /// After the end: what ends at the first wait.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Position> {
        let subscribed = self.with_head(|sender| sender.as_ref().map(watch::Sender::subscribe));
        subscribed.unwrap_or_else(|| watch::channel(Position::START).1)
    }

    fn with_head<T>(&self, then: impl FnOnce(&mut Option<watch::Sender<Position>>) -> T) -> T {
        then(&mut self.head.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where whoever reads the log gets the next page from.
#[async_trait]
pub(crate) trait Pages: Send + Sync + 'static {
    /// Like [`EventStore::read_all`].
    async fn page(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError>;
}

#[async_trait]
impl<S: EventStore + ?Sized> Pages for S {
    async fn page(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        self.read_all(after, filter, limit).await
    }
}

struct Follower<S> {
    store: S,
    wakes: watch::Receiver<Position>,
    filter: Filter,
    after: Position,
    /// The last page went to the end of the log as it was then.
    caught_up: bool,
    /// How long to wait before the next try, after an outage.
    pause: Option<Duration>,
    /// What had been heard of when the last page was read.
    heard_of: Position,
    /// How far behind he was when he rested last.
    rested_behind: u64,
    /// Until when to rest.
    rest: Option<Instant>,
}

/// Follows `store`, reading a page at the start, whenever `wakes` changes, and after an outage. Ends
/// when the sender of `wakes` is gone, which means that the store was closed.
pub(crate) fn follow<S: Pages>(
    store: S,
    wakes: watch::Receiver<Position>,
    after: Position,
    filter: Filter,
) -> BoxStream<'static, Result<Page, StoreError>> {
    let heard_of = *wakes.borrow();
    let follower = Follower {
        store,
        wakes,
        filter,
        after,
        caught_up: false,
        pause: None,
        heard_of,
        rested_behind: u64::MAX,
        rest: None,
    };
    stream::unfold(follower, |mut follower| async move { Some((follower.next().await?, follower)) }).boxed()
}

impl<S: Pages> Follower<S> {
    /// Until when to rest after a page that took so long to read, and brought him on by `came_on`.
    fn rest_after(&mut self, took: Duration, came_on: u64) -> Option<Instant> {
        let heard_of = *self.wakes.borrow();
        let others_write = std::mem::replace(&mut self.heard_of, heard_of) < heard_of;
        let behind = heard_of.distance_from(self.after);
        let gained = behind.saturating_add(came_on / 2) <= self.rested_behind;
        let rest = (took * REST).min(REST_MAX);
        if self.caught_up {
            // Who falls behind again begins anew.
            self.rested_behind = u64::MAX;
            return None;
        }
        if !others_write || !gained || rest < REST_MIN {
            return None;
        }
        self.rested_behind = behind;
        Some(Instant::now() + rest)
    }

    /// The next item. Nothing but `after` is remembered between pages, and that moves only when a page
    /// is handed over, so that giving up in the middle loses nothing.
    async fn next(&mut self) -> Option<Result<Page, StoreError>> {
        if let Some(pause) = self.pause {
            tokio::time::sleep(pause).await;
        }
        loop {
            // Marked as seen before reading: what is appended meanwhile wakes us again.
            let heard_of = *self.wakes.borrow_and_update();
            if self.caught_up && heard_of <= self.after {
                self.wakes.changed().await.ok()?;
                continue;
            }
            if let Some(rest) = self.rest {
                tokio::time::sleep_until(rest).await;
            }
            let began = Instant::now();
            match self.store.page(self.after, &self.filter, PAGE_EVENTS).await {
                Ok(page) if page.scanned > self.after => {
                    self.pause = None;
                    self.caught_up = page.end;
                    let came_on = page.scanned.distance_from(self.after);
                    self.after = page.scanned;
                    self.rest = self.rest_after(began.elapsed(), came_on);
                    return Some(Ok(page));
                }
                Ok(_) => {
                    self.pause = None;
                    self.wakes.changed().await.ok()?;
                }
                // The sender is gone: this is no outage, the store was closed.
                Err(_) if self.wakes.has_changed().is_err() => return None,
                Err(error) => {
                    self.pause = Some(self.pause.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX)));
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A log of which each page takes ten milliseconds to read, and to which others write so many events a second.
    struct Busy {
        began: Instant,
        events: u64,
        written_a_second: u64,
        wakes: watch::Sender<Position>,
    }

    impl Busy {
        fn head(&self) -> Position {
            let written =
                u64::try_from(self.began.elapsed().as_millis()).unwrap() * self.written_a_second / 1_000;
            let head = Position::of(self.events + written);
            self.wakes.send_replace(head);
            head
        }
    }

    #[async_trait]
    impl Pages for Busy {
        async fn page(&self, after: Position, _: &Filter, limit: usize) -> Result<Page, StoreError> {
            let head = self.head();
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.head();
            let scanned = Position::of(after.number() + limit as u64).min(head);
            Ok(Page { events: Vec::new(), scanned, end: scanned == head })
        }
    }

    /// How long it takes to come to the end of a log of so many events, while others write.
    async fn caught_up_after(events: u64, written_a_second: u64) -> Option<Duration> {
        let (wakes, heard) = watch::channel(Position::of(events));
        let began = Instant::now();
        let busy = Busy { began, events, written_a_second, wakes };
        let mut pages = follow(busy, heard, Position::START, Filter::all());
        while began.elapsed() < Duration::from_mins(10) {
            if pages.next().await.unwrap().unwrap().end {
                return Some(began.elapsed());
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_behind_rests_while_others_write_and_only_then() {
        let alone = caught_up_after(50_000, 0).await.unwrap();
        assert_eq!(alone, Duration::from_secs(1));
        let beside_few_writers = caught_up_after(50_000, 1_000).await.unwrap();
        // A hundred pages and some, each with four times as long a rest.
        assert!(beside_few_writers > Duration::from_secs(4), "{beside_few_writers:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_falls_behind_again_rests_again() {
        let (wakes, heard) = watch::channel(Position::of(50_000));
        let (began, woken) = (Instant::now(), wakes.clone());
        let busy = Busy { began, events: 50_000, written_a_second: 1_000, wakes };
        let mut pages = follow(busy, heard, Position::START, Filter::all());
        while !pages.next().await.unwrap().unwrap().end {}
        // Nobody looks for a while.
        tokio::time::sleep(Duration::from_secs(50)).await;
        woken.send_modify(|head| *head = Position::of(head.number() + 1));
        let again = Instant::now();
        while !pages.next().await.unwrap().unwrap().end {}
        assert!(again.elapsed() > Duration::from_secs(4), "{:?}", again.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_would_come_to_the_end_without_rests_comes_there_with_them() {
        for written_a_second in [5_000, 8_000, 12_000, 20_000, 30_000, 40_000] {
            let caught_up = caught_up_after(50_000, written_a_second).await;
            assert!(caught_up.is_some(), "{written_a_second} events a second");
        }
    }
}
