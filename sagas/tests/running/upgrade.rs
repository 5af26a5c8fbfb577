//! A database that a release before partitions has worked on, with one lease and one checkpoint for all: what
//! it had handled is handled, what it was waiting for is waited for, and it cannot go on beside its successor.

use std::{borrow::Cow, time::Duration};

use events::order::Origin;
use platform::postgres::testing::fresh_database;
use sagas::{
    coordinator::{CoordinatorState, Key, Partition, PostgresState, migrate},
    gateway::sandbox::tokens,
};
use sqlx::{Connection, PgConnection, PgPool};

use crate::{
    place::Place,
    shop::{LEASE_TTL, order_id},
};

const LONG: Duration = Duration::from_hours(1);

/// What that release asks the database for: its lease, and after that to save.
async fn acquire(pool: &PgPool, holder: &str) -> Option<i64> {
    sqlx::query_scalar(
        "insert into sagas.lease as held (name, holder, fence, runs_out_at)
         values ('coordinator', $1, 1, clock_timestamp() + $2)
         on conflict (name) do update
            set holder = excluded.holder, fence = held.fence + 1, runs_out_at = excluded.runs_out_at
          where held.runs_out_at <= clock_timestamp() or held.holder = excluded.holder
         returning fence",
    )
    .bind(holder)
    .bind(LONG)
    .fetch_optional(pool)
    .await
    .unwrap()
}

async fn may_save(pool: &PgPool, fence: i64) -> bool {
    let held = sqlx::query(
        "update sagas.lease set runs_out_at = clock_timestamp() + $2
          where name = 'coordinator' and fence = $1",
    );
    held.bind(fence).bind(LONG).execute(pool).await.unwrap().rows_affected() == 1
}

async fn save_checkpoint(pool: &PgPool, position: i64) {
    sqlx::query(
        "insert into sagas.checkpoint (name, position) values ('coordinator', $1)
         on conflict (name) do update set position = excluded.position",
    )
    .bind(position)
    .execute(pool)
    .await
    .unwrap();
}

async fn save_wake(pool: &PgPool, kind: &str, id: &str, waiting: &str) {
    sqlx::query("insert into sagas.wake (kind, id, due_at, waiting) values ($1, $2, now(), $3)")
        .bind(kind)
        .bind(id)
        .bind(waiting)
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_tables_of_a_release_before_are_kept_and_say_where_every_partition_begins() {
    let databases = fresh_database().await;
    let owner = databases.owner.clone().options([("search_path", "sagas")]);
    let mut connection = PgConnection::connect_with(&owner).await.unwrap();
    sqlx::query("create schema sagas").execute(&mut connection).await.unwrap();
    let mut before = sqlx::migrate!("migrations/sagas");
    before.migrations = Cow::Owned(before.migrations[..1].to_vec());
    before.run(&mut connection).await.unwrap();
    let pool = PgPool::connect_with(databases.service.clone()).await.unwrap();
    let fence = acquire(&pool, "old").await.unwrap();
    save_checkpoint(&pool, 4711).await;
    let order = order_id(1).to_string();
    for (kind, id) in [("checkout", order.as_str()), ("payment", &order), ("webhook", "ntf_1")] {
        save_wake(&pool, kind, id, "as before").await;
    }

    migrate(&databases.owner).await.unwrap();
    assert!(may_save(&pool, fence).await, "its own tables are as they were");
    let state = PostgresState::new(&databases.service);
    let gained = state.claim("new", LEASE_TTL, &[]).await.unwrap().gained;
    let kept = state.load(&Partition::all().collect::<Vec<_>>()).await.unwrap();

    assert_eq!((gained.len(), kept.len()), (16, 16));
    assert!(kept.iter().all(|kept| kept.checkpoint.to_column() == Ok(4711)), "{kept:?}");
    for kept in &kept {
        assert!(kept.wakes.iter().all(|(key, _)| Partition::of(key) == kept.partition), "{kept:?}");
    }
    let mut wakes: Vec<Key> = kept.into_iter().flat_map(|kept| kept.wakes).map(|(key, _)| key).collect();
    wakes.sort();
    let webhook = Key::Webhook("ntf_1".to_owned());
    assert_eq!(wakes, [Key::Checkout(order_id(1)), Key::Payment(order_id(1).into()), webhook]);
}

#[tokio::test]
async fn a_release_before_is_deposed_and_stands_by_until_those_that_share_are_gone() {
    let place = Place::new().await;
    let fence = acquire(&place.pool, "old").await.unwrap();
    assert!(may_save(&place.pool, fence).await);
    let state = PostgresState::new(&place.databases.service);
    for holder in ["first", "second", "first"] {
        state.claim(holder, LEASE_TTL, &[]).await.unwrap();
        assert!(!may_save(&place.pool, fence).await);
        assert_eq!(acquire(&place.pool, "old").await, None);
        assert_eq!(acquire(&place.pool, "another old one").await, None);
    }
    tokio::time::sleep(LEASE_TTL + Duration::from_millis(100)).await;
    assert!(acquire(&place.pool, "old").await.unwrap() > fence);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_release_before_left_goes_on_with_nothing_skipped_and_nothing_done_again() {
    let place = Place::new().await;
    let shop = place.shop().await;
    shop.receive("CUP", 1000).await;
    for number in 0..20 {
        shop.place(number, &["CUP"], tokens::APPROVE, Origin::Live).await;
    }
    let handled = shop.store.head().await.unwrap().to_column().unwrap();
    for number in 20..30 {
        shop.place(number, &["CUP"], tokens::APPROVE, Origin::Live).await;
    }
    acquire(&place.pool, "old").await.unwrap();
    save_checkpoint(&place.pool, handled).await;
    // The first ten it knew to be at rest; it looked after the next ten when it was stopped.
    for number in 10..20 {
        save_wake(&place.pool, "checkout", &order_id(number).to_string(), "put_aside").await;
    }

    let (first, second) = (shop.run("first"), shop.run("second"));
    shop.wait_for(20).await;
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;
    first.shut_down().await;
    second.shut_down().await;

    let checkouts = shop.checkouts().await;
    for number in 0..30 {
        let last = checkouts.get(&order_id(number).to_string()).map(String::as_str);
        let expected = (number >= 10).then_some("CheckoutCompleted");
        assert_eq!(last, expected, "order {number}");
    }
    shop.assert_each_checkout_is_told_once().await;
}
