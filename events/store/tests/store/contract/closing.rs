//! How a store ends: with what was begun, and with nothing more.

use std::sync::Arc;

use event_store::{AppendError, EventStore, ExpectedRevision, Filter, Position, StoreError};
use futures::{FutureExt, StreamExt, future::join_all};

use crate::history::{places_of, some, stream, write};

pub(crate) async fn a_closed_store_takes_no_more_and_ends_its_followers(store: Arc<dyn EventStore>) {
    let written = write(&*store, &stream("a"), some(1)).await.position;
    let mut caught_up = store.follow(written, Filter::all());
    assert!(caught_up.next().now_or_never().is_none());
    let mut behind = store.follow(Position::START, Filter::all());
    store.close().await;
    assert!(caught_up.next().await.is_none());
    while let Some(page) = behind.next().await {
        // Whether it still hands over what was there is its own affair, but then it ends.
        assert!(page.unwrap().events.iter().all(|event| event.position == written));
    }
    match store.append(&stream("a"), ExpectedRevision::Any, some(1)).await {
        Err(AppendError::Store(StoreError::Unavailable { .. })) => {}
        other => panic!("{other:?}"),
    }
    store.close().await;
}

pub(crate) async fn what_was_begun_before_closing_is_finished(store: Arc<dyn EventStore>) {
    let mut begun: Vec<_> = (0..40)
        .map(|nth| {
            let store = Arc::clone(&store);
            async move { store.append(&stream(&nth.to_string()), ExpectedRevision::NoStream, some(3)).await }
                .boxed()
        })
        .collect();
    // Polled once, each has been handed over; some may be answered already.
    let mut answered = Vec::new();
    let mut waiting = Vec::new();
    for mut append in begun.drain(..) {
        match append.as_mut().now_or_never() {
            Some(answer) => answered.push(answer),
            None => waiting.push(append),
        }
    }
    let ((), finished) = tokio::join!(store.close(), join_all(waiting));
    answered.extend(finished);
    let positions: Vec<_> = answered.into_iter().map(|answer| answer.unwrap().position).collect();
    let mut places = places_of(&*store, &positions).await;
    places.sort_unstable();
    assert_eq!(places, (1..=40).map(|nth| nth * 3).collect::<Vec<_>>());
}
