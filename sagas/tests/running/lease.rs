//! The leases and what is kept under them: the same of every place where they can be kept.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use event_store::Position;
use events::ids::{OrderId, PaymentId};
use platform::{clock::Clock, postgres::testing::fresh_database};
use sagas::coordinator::{
    Changes, CoordinatorState, Kept, Key, Lease, MemoryState, PARTITIONS, Partition, PostgresState, Wake,
    migrate,
};
use uuid::Uuid;

/// Long enough that it does not run out while a test goes on.
const LONG: Duration = Duration::from_hours(1);
/// Runs out at once.
const NONE: Duration = Duration::ZERO;

const ALL: usize = PARTITIONS as usize;

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

fn of(leases: &[Lease]) -> Vec<Partition> {
    let mut partitions: Vec<_> = leases.iter().map(|lease| lease.partition).collect();
    partitions.sort();
    partitions
}

/// Renews these leases, and keeps nothing new.
fn unchanged(leases: &[Lease]) -> Vec<Changes> {
    let same = |lease: &Lease| Changes { lease: *lease, checkpoint: position(1), wakes: vec![] };
    leases.iter().map(same).collect()
}

async fn take(state: &Arc<dyn CoordinatorState>, holder: &str, ttl: Duration) -> Vec<Lease> {
    state.claim(holder, ttl, &[]).await.unwrap().gained
}

async fn kept(state: &Arc<dyn CoordinatorState>, key: &Key) -> Kept {
    state.load(&[Partition::of(key)]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_runs_out_is_given_back_or_its_holder_comes_again() {
    for state in states().await {
        let first = take(&state, "first", LONG).await;
        assert_eq!(of(&first), Partition::all().collect::<Vec<_>>());
        state.leave("first").await.unwrap();
        assert_eq!(take(&state, "second", LONG).await, [], "{state:?}");
        state.leave("second").await.unwrap();

        let again = take(&state, "first", NONE).await;
        assert_eq!(of(&again), of(&first));
        let highest = |leases: &[Lease]| leases.iter().map(|lease| lease.fence).max().unwrap();
        assert!(again.iter().all(|lease| lease.fence > highest(&first)), "{state:?}");

        let second = take(&state, "second", LONG).await;
        assert_eq!(second.len(), ALL, "{state:?}");
        assert!(second.iter().all(|lease| lease.fence > highest(&again)), "{state:?}");
        state.release(&first).await.unwrap();
        state.leave("second").await.unwrap();
        assert_eq!(take(&state, "third", LONG).await, []);
        state.release(&second[..3]).await.unwrap();
        assert_eq!(of(&take(&state, "third", LONG).await), of(&second[..3]));
    }
}

#[tokio::test]
async fn who_comes_gets_a_fair_share_of_what_the_others_give_back() {
    for state in states().await {
        let first = take(&state, "a", LONG).await;
        let nothing_free = state.claim("b", LONG, &[]).await.unwrap();
        assert_eq!((nothing_free.share, nothing_free.gained), (8, vec![]), "{state:?}");
        let too_many = state.claim("a", LONG, &of(&first)).await.unwrap();
        assert_eq!((too_many.share, too_many.gained), (8, vec![]));
        state.release(&first[8..]).await.unwrap();
        assert_eq!(state.claim("a", LONG, &of(&first[..8])).await.unwrap().gained, []);
        let second = take(&state, "b", LONG).await;
        assert_eq!(of(&second), of(&first[8..]));

        // Come again under its name, each gets its own.
        assert_eq!(of(&take(&state, "b", LONG).await), of(&second));
        let first = take(&state, "a", LONG).await;
        state.release(&first).await.unwrap();
        assert_eq!(of(&take(&state, "b", LONG).await), of(&second), "{state:?}");

        let shares = async |holders: &[&str]| {
            let mut shares = Vec::new();
            for holder in holders {
                shares.push(state.claim(holder, LONG, &of(&first)).await.unwrap().share);
            }
            shares
        };
        shares(&["a", "b", "c"]).await;
        assert_eq!(shares(&["a", "b", "c"]).await, [6, 5, 5], "{state:?}");
        state.leave("a").await.unwrap();
        assert_eq!(shares(&["b", "c"]).await, [8, 8]);
        state.claim("c", NONE, &of(&first)).await.unwrap();
        assert_eq!(shares(&["b"]).await, [ALL], "{state:?}");
    }
}

#[tokio::test]
async fn what_is_kept_is_there_for_the_next_holder() {
    for state in states().await {
        let leases = take(&state, "first", LONG).await;
        let checkout = Key::Checkout(OrderId(Uuid::from_u128(1)));
        let payment = Key::Payment(PaymentId(Uuid::from_u128(1)));
        let webhook = Key::Webhook("ntf_1".to_owned());
        let before = kept(&state, &webhook).await;
        assert_eq!((before.checkpoint, before.wakes), (Position::START, vec![]));

        let changes = |column, key: &Key, wakes: &[(&Key, Option<Wake>)]| {
            let partition = Partition::of(key);
            let lease = *leases.iter().find(|lease| lease.partition == partition).unwrap();
            let wakes = wakes.iter().map(|(key, wake)| ((*key).clone(), wake.clone())).collect();
            Changes { lease, checkpoint: position(column), wakes }
        };
        let both = [
            changes(7, &checkout, &[(&checkout, Some(wake(1))), (&payment, Some(wake(2)))]),
            changes(5, &webhook, &[(&webhook, Some(wake(3)))]),
        ];
        assert_eq!(state.save(LONG, &both).await.unwrap(), []);
        let one = [changes(8, &checkout, &[(&payment, None), (&checkout, Some(wake(9)))])];
        assert_eq!(state.save(LONG, &one).await.unwrap(), []);

        let of_order = kept(&state, &payment).await;
        assert_eq!((of_order.checkpoint, of_order.wakes), (position(8), vec![(checkout, wake(9))]));
        let of_webhook = kept(&state, &webhook).await;
        assert_eq!((of_webhook.checkpoint, of_webhook.wakes), (position(5), vec![(webhook, wake(3))]));
    }
}

#[tokio::test]
async fn whoever_shows_an_old_lease_is_refused_and_changes_nothing_but_what_is_still_held() {
    for state in states().await {
        let mut old = take(&state, "paused", NONE).await;
        let webhook = Key::Webhook("ntf_1".to_owned());
        let lost = Partition::of(&webhook);
        old.sort_by_key(|lease| lease.partition != lost);
        // Of all that has run out, another takes this one only.
        let others: Vec<Partition> = of(&old[1..]);
        let new = state.claim("second", LONG, &others).await.unwrap().gained;
        assert_eq!(of(&new), [lost]);
        let changes = Changes { lease: new[0], checkpoint: position(5), wakes: vec![] };
        assert_eq!(state.save(LONG, &[changes]).await.unwrap(), []);

        let mut stale = unchanged(&old);
        stale[0].wakes = vec![(webhook.clone(), Some(wake(1)))];
        assert_eq!(state.save(LONG, &stale).await.unwrap(), [lost], "{state:?}");

        let refused = kept(&state, &webhook).await;
        assert_eq!((refused.checkpoint, refused.wakes), (position(5), vec![]), "{state:?}");
        for held in state.load(&others).await.unwrap() {
            assert_eq!(held.checkpoint, position(1), "{state:?}");
        }
    }
}

#[tokio::test]
async fn saving_keeps_leases_from_running_out() {
    for state in states().await {
        let leases = take(&state, "first", NONE).await;
        state.save(LONG, &unchanged(&leases[..10])).await.unwrap();
        assert_eq!(of(&take(&state, "second", LONG).await), of(&leases[10..]), "{state:?}");
    }
}

#[tokio::test]
async fn a_database_that_was_shared_out_otherwise_is_refused_with_both_numbers() {
    let databases = fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    let pool = sqlx::PgPool::connect_with(databases.service.clone()).await.unwrap();
    let other = i32::from(PARTITIONS) * 2;
    sqlx::query("insert into sagas.partition (number) select generate_series(0, $1 - 1)")
        .bind(other)
        .execute(&pool)
        .await
        .unwrap();
    let state = PostgresState::new(&databases.service);
    let refused = state.claim("first", LONG, &[]).await.unwrap_err().to_string();
    for number in [other, PARTITIONS.into()] {
        assert!(refused.contains(&number.to_string()), "{refused}");
    }
}

#[tokio::test]
async fn who_met_an_event_of_a_newer_release_has_no_share_while_others_have_met_none() {
    let databases = fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    let state = PostgresState::new(&databases.service);
    let none_free: Vec<Partition> = Partition::all().collect();
    let shares = async |holders: &[&str]| {
        let mut shares = Vec::new();
        for holder in holders {
            shares.push(state.claim(holder, LONG, &none_free).await.unwrap().share);
        }
        shares
    };
    shares(&["old", "older"]).await;
    state.stand_back("old").await.unwrap();
    assert_eq!(shares(&["old", "older"]).await, [0, ALL]);
    // With nobody better, they are as good as ever for everything else.
    state.stand_back("older").await.unwrap();
    assert_eq!(shares(&["old", "older"]).await, [8, 8]);
    shares(&["new"]).await;
    assert_eq!(shares(&["old", "older", "new"]).await, [0, 0, ALL]);
    // One that begins again may be of the newer release itself.
    state.leave("old").await.unwrap();
    shares(&["old"]).await;
    assert_eq!(shares(&["new", "old", "older"]).await, [8, 8, 0]);
}
