//! The lease and what is kept under it: the same of every place where it can be kept.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use event_store::Position;
use events::ids::{OrderId, PaymentId};
use platform::{clock::Clock, postgres::testing::fresh_database};
use sagas::coordinator::{
    Changes, CoordinatorState, Key, MemoryState, PostgresState, StateError, Wake, migrate,
};
use uuid::Uuid;

/// Long enough that it does not run out while a test goes on.
const LONG: Duration = Duration::from_hours(1);
/// Runs out at once.
const NONE: Duration = Duration::ZERO;

async fn states() -> Vec<Arc<dyn CoordinatorState>> {
    let databases = fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    migrate(&databases.owner).await.unwrap();
    vec![Arc::new(MemoryState::new(Clock::system())), Arc::new(PostgresState::new(&databases.service))]
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn position(column: i64) -> Position {
    Position::from_column(column).unwrap()
}

fn wake(seconds: i64) -> Wake {
    Wake { due_at: at(seconds), waiting: "authorizing".to_owned() }
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_runs_out_is_given_back_or_its_holder_comes_again() {
    for state in states().await {
        let first = state.acquire("first", LONG).await.unwrap().unwrap();
        assert_eq!(state.acquire("second", LONG).await.unwrap(), None, "{state:?}");
        let again = state.acquire("first", NONE).await.unwrap().unwrap();
        assert!(again.fence > first.fence);
        let second = state.acquire("second", LONG).await.unwrap().unwrap();
        assert!(second.fence > again.fence);
        state.release(first).await.unwrap();
        assert_eq!(state.acquire("third", LONG).await.unwrap(), None);
        state.release(second).await.unwrap();
        assert!(state.acquire("third", LONG).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_is_kept_is_there_for_the_next_holder() {
    for state in states().await {
        assert_eq!(state.load().await.unwrap(), sagas::coordinator::Kept::default());
        let lease = state.acquire("first", LONG).await.unwrap().unwrap();
        let checkout = Key::Checkout(OrderId(Uuid::from_u128(1)));
        let payment = Key::Payment(PaymentId(Uuid::from_u128(1)));
        let webhook = Key::Webhook("ntf_1".to_owned());
        let wakes = vec![
            (checkout.clone(), Some(wake(1))),
            (payment.clone(), Some(wake(2))),
            (webhook.clone(), Some(wake(3))),
        ];
        state.save(lease, LONG, &Changes { checkpoint: position(7), wakes }).await.unwrap();
        let wakes = vec![(payment, None), (checkout.clone(), Some(wake(9)))];
        state.save(lease, LONG, &Changes { checkpoint: position(8), wakes }).await.unwrap();
        let mut kept = state.load().await.unwrap();
        kept.wakes.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(kept.checkpoint, position(8));
        assert_eq!(kept.wakes, [(checkout, wake(9)), (webhook, wake(3))]);
    }
}

#[tokio::test]
async fn whoever_shows_an_old_lease_is_refused_and_changes_nothing() {
    for state in states().await {
        let old = state.acquire("paused", NONE).await.unwrap().unwrap();
        let new = state.acquire("second", LONG).await.unwrap().unwrap();
        let changes = Changes { checkpoint: position(5), wakes: vec![] };
        state.save(new, LONG, &changes).await.unwrap();
        let key = Key::Webhook("ntf_1".to_owned());
        let stale = Changes { checkpoint: position(3), wakes: vec![(key, Some(wake(1)))] };
        let refused = state.save(old, LONG, &stale).await.unwrap_err();
        assert!(matches!(refused, StateError::Fenced { fence } if fence == old.fence), "{refused}");
        let kept = state.load().await.unwrap();
        assert_eq!((kept.checkpoint, kept.wakes), (position(5), vec![]), "{state:?}");
    }
}

#[tokio::test]
async fn saving_keeps_the_lease_from_running_out() {
    for state in states().await {
        let lease = state.acquire("first", NONE).await.unwrap().unwrap();
        state.save(lease, LONG, &Changes::default()).await.unwrap();
        assert_eq!(state.acquire("second", LONG).await.unwrap(), None, "{state:?}");
    }
}
