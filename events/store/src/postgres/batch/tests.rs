#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use events::{Actor, Category, Metadata};

use super::*;

const ROOMY: BatchLimits = BatchLimits { events_max: 100, bytes_max: 1_000_000 };

/// An append to stream `stream` of events with these ids.
fn append(stream: &str, ids: &[u128]) -> Waiting {
    let event = |id: &u128| NewEvent {
        id: Uuid::from_u128(*id),
        name: "OrderPlaced".to_owned(),
        version: 1,
        payload: Bytes::from_static(b"{}"),
        metadata: Metadata {
            occurred_at: "2011-08-01T12:30:00Z".parse().unwrap(),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            command_id: Uuid::nil(),
            request_digest: None,
            actor: Actor::Operator,
            traceparent: None,
        },
    };
    Waiting {
        stream: Category::Order.stream(stream),
        expected: ExpectedRevision::Any,
        events: ids.iter().map(event).collect(),
        metadata: Vec::new(),
        since: Instant::now(),
        answer: oneshot::channel().0,
    }
}

/// All batches, each as the first ids of its appends.
fn batches(appends: impl IntoIterator<Item = Waiting>, limits: BatchLimits) -> Vec<Vec<u128>> {
    let mut waiting: VecDeque<Waiting> = appends.into_iter().collect();
    let mut batches = Vec::new();
    while !waiting.is_empty() {
        let batch = gather(&mut waiting, limits);
        batches.push(batch.iter().map(|append| append.events[0].id.as_u128()).collect());
    }
    batches
}

#[test]
fn what_waits_goes_together_in_its_order() {
    assert_eq!(batches([append("a", &[1]), append("b", &[2]), append("c", &[3])], ROOMY), [[1, 2, 3]]);
}

#[test]
fn a_stream_is_appended_to_once_in_a_batch_and_in_order() {
    let appends = [append("a", &[1]), append("a", &[2]), append("b", &[3]), append("a", &[4])];
    assert_eq!(batches(appends, ROOMY), [vec![1, 3], vec![2], vec![4]]);
}

#[test]
fn an_id_is_written_once_in_a_batch() {
    let appends = [append("a", &[1, 2]), append("b", &[3, 2]), append("c", &[4])];
    assert_eq!(batches(appends, ROOMY), [vec![1, 4], vec![3]]);
}

#[test]
fn what_waits_behind_one_that_was_put_off_stays_behind_it() {
    // The second is put off for its id; the third is of the same stream and must not overtake it.
    let appends = [append("a", &[1]), append("b", &[2, 1]), append("b", &[3]), append("c", &[4])];
    assert_eq!(batches(appends, ROOMY), [vec![1, 4], vec![2], vec![3]]);
}

#[test]
fn a_batch_ends_at_its_limits_and_one_that_is_larger_alone_goes_alone() {
    let few = BatchLimits { events_max: 3, ..ROOMY };
    let appends =
        || [append("a", &[1, 11]), append("b", &[2, 12]), append("c", &[3, 13, 23, 33]), append("d", &[4])];
    assert_eq!(batches(appends(), few), [[1], [2], [3], [4]]);
    let small = BatchLimits { bytes_max: limits::size_bytes(&append("a", &[1, 2, 3]).events), ..ROOMY };
    assert_eq!(batches(appends(), small), [[1], [2], [3], [4]]);
    assert_eq!(batches(appends(), ROOMY), [[1, 2, 3, 4]]);
}
