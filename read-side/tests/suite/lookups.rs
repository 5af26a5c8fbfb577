//! What many ask for at the same time is looked up together, and each gets what he asked for.

use std::time::{Duration, Instant};

use events::Category;
use futures::future::join_all;
use read_side::Limits;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::Connection;

use crate::{
    history::*,
    served::Served,
    world::{eventually, minute, within},
};

/// Lookups that can go together and such that cannot, each with another answer.
async fn different_lookups(served: &Served) -> Vec<String> {
    for (nth, name) in ["mug", "tray", "jug"].into_iter().enumerate() {
        served.world.catalog(name, &listed(name, name, 100), minute(0)).await;
        served.world.stock(name, &received(name, i64::try_from(nth).unwrap() + 1), minute(0)).await;
    }
    let mut paths = Vec::new();
    for number in 1..=12_u128 {
        let order = order_id(number);
        let lines = vec![
            line("mug", 1, i64::try_from(number).unwrap() * 100);
            usize::try_from(number % 3).unwrap() + 1
        ];
        let event = placed(order, Some(number % 5), lines);
        served.world.order(order, &event, minute(i64::try_from(number).unwrap())).await;
        paths.push(format!("/orders/{order}"));
        paths.push(format!("/payments/{order}"));
    }
    for number in 13..=16 {
        let order = served.world.paid_order(number, minute(30)).await;
        paths.push(format!("/orders/{order}"));
        paths.push(format!("/payments/{order}"));
    }
    // Of one nothing more can be shown, and of another nothing at all.
    served
        .world
        .append_raw(&Category::Payment.stream(order_id(13)), "PaymentTeleported", 1, "{}", minute(31))
        .await;
    let unreadable = Category::Order.stream(order_id(17));
    served.world.append_raw(&unreadable, "OrderTeleported", 1, "{}", minute(31)).await;
    paths.push(format!("/orders/{}", order_id(17)));
    for customer in 0..=5_u128 {
        let orders = format!("/customers/{}/orders", uuid::Uuid::from_u128(customer));
        paths.extend(
            ["", "?limit=1", "?sort=placed_at", "?sort=-total&limit=2", "?status=placed"]
                .map(|more| format!("{orders}{more}")),
        );
    }
    for name in ["mug", "tray", "jug", "nothing", "it's"] {
        paths.extend([format!("/products/{name}"), format!("/stock/{name}")]);
    }
    paths
}

async fn ask(served: &Served, path: &str) -> (StatusCode, String, Value) {
    let answer = served.request(path).send().await.unwrap();
    let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    (answer.status(), tag.unwrap_or_default(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn together_each_finds_what_it_finds_alone() {
    let served = Served::start().await;
    let paths = different_lookups(&served).await;
    for read_model in ["/orders", "/payments", "/products", "/stock"] {
        served.fresh_json(read_model).await;
    }
    let mut alone = Vec::new();
    for path in &paths {
        alone.push(ask(&served, path).await);
    }
    assert!(alone.iter().any(|(_, _, body)| body["kept_back_from"].is_number()), "nothing is kept back");
    let found = alone.iter().filter(|(status, ..)| *status == StatusCode::OK).count();
    assert!(found > 40 && found < alone.len(), "{found} of {}", alone.len());
    for _ in 0..5 {
        let together = join_all(paths.iter().map(|path| ask(&served, path))).await;
        for ((path, alone), together) in paths.iter().zip(&alone).zip(together) {
            assert_eq!(*alone, together, "{path}");
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn together_each_sees_what_was_there_when_it_asked() {
    let served = Served::start().await;
    for round in 1..=20_u128 {
        let order = order_id(round);
        served.world.order(order, &placed(order, Some(1), vec![line("mug", 1, 100)]), minute(0)).await;
        let paths = (1..=round).map(|known| format!("/orders/{}", order_id(known)));
        let more = ["/customers/00000000-0000-0000-0000-000000000001/orders".to_owned()];
        let answers = join_all(paths.chain(more).map(async |path| served.fresh_json(&path).await)).await;
        let listed = answers.last().unwrap()["items"].as_array().unwrap().len();
        assert_eq!(listed, usize::try_from(round).unwrap());
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_few_statements_are_on_their_way() {
    const ASKING: usize = 300;
    let patient = Limits {
        acquire_timeout: Duration::from_mins(1),
        statement_timeout: Duration::from_mins(1),
        ..Limits::default()
    };
    let mut served = Served::stale(patient).await;
    served.start_projections();
    let orders: Vec<_> = (1..=3).map(order_id).collect();
    for order in &orders {
        served.world.order(*order, &placed(*order, None, vec![line("mug", 1, 100)]), minute(1)).await;
    }
    served.fresh_json("/orders").await;

    let mut locked = served.world.projector().await;
    let mut lock = locked.begin().await.unwrap();
    sqlx::raw_sql("lock table orders_v1.orders in access exclusive mode").execute(&mut *lock).await.unwrap();
    let asking = async {
        let paths = (0..ASKING).map(|nth| format!("/orders/{}", orders[nth % orders.len()]));
        let asked = paths.map(async |path| (ask(&served, &path).await, path));
        join_all(asked).await
    };
    let mut looking = served.world.projector().await;
    let releasing = async {
        let mut waiting = async || -> i64 {
            let sql = "select count(*) from pg_locks join pg_stat_activity using (pid)
                       where not granted and application_name = 'counterfoil read'";
            sqlx::query_scalar(sql).fetch_one(&mut looking).await.unwrap()
        };
        eventually("lookups wait for the lock", async || waiting().await > 0).await;
        // Those that come in now are kept until these are done. Of another read model everybody is answered meanwhile.
        for _ in 0..40 {
            let (status, _, body) = within("another read model answers", ask(&served, "/products/mug")).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
            assert!(waiting().await <= 2, "each has a statement of its own");
        }
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(asking, releasing);
    for ((status, _, body), path) in answers {
        assert_eq!(status, StatusCode::OK, "{body}");
        assert!(path.ends_with(body["order_id"].as_str().unwrap()), "{path}: {body}");
    }
    served.stop().await;
}

#[tokio::test]
async fn who_waits_behind_lookups_that_get_no_answer_is_told_to_come_back() {
    let limits = Limits {
        acquire_timeout: Duration::from_millis(200),
        statement_timeout: Duration::from_secs(3),
        ..Limits::default()
    };
    let served = Served::stale(limits).await;
    let mut locked = served.world.projector().await;
    let mut lock = locked.begin().await.unwrap();
    sqlx::raw_sql("lock table orders_v1.orders in access exclusive mode").execute(&mut *lock).await.unwrap();
    let path = format!("/orders/{}", order_id(1));
    // The server ends the statements. If nobody were refused before his turn, the last would wait for six in a row.
    let began = Instant::now();
    for (status, _, body) in join_all((0..400).map(|_| ask(&served, &path))).await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    }
    assert!(began.elapsed() < Duration::from_secs(13), "the last was answered after {:?}", began.elapsed());
    lock.rollback().await.unwrap();
    eventually("it is answered again", async || ask(&served, &path).await.0 == StatusCode::NOT_FOUND).await;
    served.stop().await;
}
