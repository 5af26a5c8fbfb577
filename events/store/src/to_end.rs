//! Reading the log to its end, once: for audits and whoever else looks at all of it.

use std::{collections::VecDeque, pin::Pin};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, MaybeDone, maybe_done},
    poll, stream,
};

use crate::{EventStore, Filter, Numbering, Page, Position, StoreError, follow::Pages};

/// How many events a page looks at.
const PAGE_EVENTS: usize = 4_000;

/// Page by page everything from behind `after` to where the log ended when its last page was read; an error is the last
/// item.
/// While a page is looked at **the one after it is being read already**, where it is known where that begins.
pub fn read_to_end<'a>(
    store: &'a dyn EventStore,
    after: Position,
    filter: &'a Filter,
) -> impl Stream<Item = Result<Page, StoreError>> + Send + Unpin + 'a {
    let at_once = match store.numbering() {
        Numbering::Dense => 2,
        Numbering::Sparse => 1,
    };
    pages_to_end(store, after, filter, at_once)
}

/// So many pages are read at the same time.
fn pages_to_end<'a, S: Pages + ?Sized>(
    store: &'a S,
    after: Position,
    filter: &'a Filter,
    at_once: usize,
) -> impl Stream<Item = Result<Page, StoreError>> + Send + Unpin + 'a {
    let reads = Reads { store, filter, at_once, asked: after, after, pages: VecDeque::new(), begun: false };
    stream::unfold(Some(reads), |reads| async move { reads?.next().await }).boxed()
}

struct Reads<'a, S: ?Sized> {
    store: &'a S,
    filter: &'a Filter,
    at_once: usize,
    /// Behind which position nothing was asked for.
    asked: Position,
    /// Behind which position nothing was handed over.
    after: Position,
    pages: VecDeque<MaybeDone<BoxFuture<'a, Result<Page, StoreError>>>>,
    /// A page was handed over, and there was more behind it.
    begun: bool,
}

impl<S: Pages + ?Sized> Reads<'_, S> {
    async fn next(mut self) -> Option<(Result<Page, StoreError>, Option<Self>)> {
        // Most logs that are read to the end from nearby have one page.
        let at_once = if self.begun { self.at_once } else { 1 };
        while self.pages.len() < at_once {
            let mut page = maybe_done(self.store.page(self.asked, self.filter, PAGE_EVENTS).boxed());
            // So it is asked for now, and not when the one before it was looked at.
            let _ = poll!(&mut page);
            self.pages.push_back(page);
            self.asked = full(self.asked);
        }
        let mut page = self.pages.pop_front()?;
        Pin::new(&mut page).await;
        let page = match Pin::new(&mut page).take_output()? {
            Ok(page) => page,
            Err(error) => return Some((Err(error), None)),
        };
        if page.end || page.scanned <= self.after {
            return Some((Ok(page), None));
        }
        if page.scanned != full(self.after) {
            // What was read behind it begins elsewhere.
            (self.pages, self.asked) = (VecDeque::new(), page.scanned);
        }
        (self.after, self.begun) = (page.scanned, true);
        Some((Ok(page), Some(self)))
    }
}

/// Where a full page ends, if there is no position without an event.
fn full(after: Position) -> Position {
    Position::of(after.number().saturating_add(PAGE_EVENTS as u64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use async_trait::async_trait;
    use futures::TryStreamExt;

    use super::*;

    /// A log of so many events, of which no page has more than `page_max`. It remembers behind what was asked.
    struct Log {
        events: u64,
        page_max: u64,
        asked: Mutex<Vec<u64>>,
    }

    #[async_trait]
    impl Pages for Log {
        async fn page(&self, after: Position, _: &Filter, limit: usize) -> Result<Page, StoreError> {
            self.asked.lock().unwrap().push(after.number());
            let scanned = (after.number() + self.page_max.min(limit as u64)).min(self.events);
            Ok(Page { events: Vec::new(), scanned: Position::of(scanned), end: scanned == self.events })
        }
    }

    /// Where the pages end, and behind what was asked for pages.
    async fn read(events: u64, page_max: u64, at_once: usize) -> (Vec<u64>, Vec<u64>) {
        let log = Log { events, page_max, asked: Mutex::default() };
        let filter = Filter::all();
        let pages = pages_to_end(&log, Position::START, &filter, at_once);
        let ends = pages.map_ok(|page| page.scanned.number()).try_collect().await.unwrap();
        (ends, log.asked.into_inner().unwrap())
    }

    #[tokio::test]
    async fn the_next_page_is_asked_for_with_the_one_before_it() {
        assert_eq!(
            read(10_000, u64::MAX, 2).await,
            (vec![4_000, 8_000, 10_000], vec![0, 4_000, 8_000, 12_000])
        );
        assert_eq!(read(10_000, u64::MAX, 1).await, (vec![4_000, 8_000, 10_000], vec![0, 4_000, 8_000]));
        assert_eq!(read(100, u64::MAX, 2).await, (vec![100], vec![0]));
    }

    #[tokio::test]
    async fn nothing_is_passed_over_behind_a_page_that_is_smaller_than_it_could_be() {
        let (ends, _) = read(8_000, 3_000, 2).await;
        assert_eq!(ends, [3_000, 6_000, 8_000]);
    }
}
