//! Reading one's own writes.

use std::time::Duration;

use event_store::{EventStore, Position};
use futures::{StreamExt, stream::FuturesUnordered};
use read_side::Limits;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::ConnectOptions;

use crate::{
    history::*,
    served::Served,
    world::{minute, within},
};

#[tokio::test]
async fn a_read_waits_for_the_position_that_it_asks_for() {
    let mut served = Served::stale(Limits::default()).await;
    let order = served.world.paid_order(1, minute(0)).await;
    let head = served.world.store.head().await.unwrap();
    let path = format!("/orders/{order}");

    let stale = served.request(&path).header("Counterfoil-At-Least", head.to_string()).send().await.unwrap();
    assert_eq!(stale.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stale.headers()["retry-after"], "1");
    let problem: Value = stale.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/not-fresh-enough");
    assert_eq!((&problem["position"], &problem["at_least"]), (&json!(0), &json!(head)));

    let waiting = tokio::spawn(
        served
            .request(&path)
            .header("Counterfoil-At-Least", head.to_string())
            .header("Prefer", "wait=30")
            .send(),
    );
    served.start_projections();
    let answer = within("the waiting read is answered", waiting).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["preference-applied"], "wait");
    let position: Position = answer.headers()["counterfoil-position"].to_str().unwrap().parse().unwrap();
    assert!(position >= head);
    served.stop().await;
}

#[tokio::test]
async fn what_is_told_of_a_position_is_not_believed_beyond_what_the_rows_reflect() {
    let served = Served::stale(Limits::default()).await;
    let mut db = served.world.databases.projector.connect().await.unwrap();
    // Some of these are told after the server has begun to listen; after them it knows of a position that the
    // rows do not have, as after a crash of the database.
    for _ in 0..50 {
        sqlx::query("select pg_notify('counterfoil_projections', 'orders 99')")
            .execute(&mut db)
            .await
            .unwrap();
        for path in ["/orders", "/orders/00000000-0000-0000-0000-000000000001"] {
            let answer = served.request(path).header("Counterfoil-At-Least", 50).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_over() {
    let served = Served::stale(Limits::default()).await;
    let request = served.request("/orders").header("Counterfoil-At-Least", 99).header("Prefer", "wait=1");
    let answer = within("the wait ends", request.send()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    served.stop().await;
}

#[tokio::test]
async fn what_was_written_is_always_there_for_a_read_that_asks_for_it() {
    let served = Served::start().await;
    for number in 1..=50 {
        let order = order_id(number);
        served.world.order(order, &placed(order, None, vec![line("mug", 1, 250)]), minute(0)).await;
        let answer = served.fresh(&format!("/orders/{order}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "order {number}");
    }
    served.stop().await;
}

#[tokio::test]
async fn when_all_connections_are_busy_a_query_is_told_to_come_back() {
    let limits = Limits {
        connections_max: 1,
        acquire_timeout: Duration::from_millis(100),
        statement_timeout: Duration::from_secs(30),
        ..Limits::default()
    };
    let mut served = Served::stale(limits).await;
    served.start_projections();
    served.world.paid_order(1, minute(0)).await;
    served.fresh("/orders").await;
    // Somebody locks the view, so that the one connection waits.
    let mut owner = served.world.projector().await;
    sqlx::raw_sql("begin; lock table read.orders in access exclusive mode")
        .execute(&mut owner)
        .await
        .unwrap();
    let mut asked: FuturesUnordered<_> = (0..8).map(|_| served.request("/orders").send()).collect();
    let refused = within("a query is refused", asked.next()).await.unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.json::<Value>().await.unwrap()["type"], "/problems/unavailable");
    sqlx::raw_sql("rollback").execute(&mut owner).await.unwrap();
    within("the others are answered", asked.collect::<Vec<_>>()).await;
    assert_eq!(served.fresh("/orders").await.status(), StatusCode::OK);

    served.stop().await;
}
