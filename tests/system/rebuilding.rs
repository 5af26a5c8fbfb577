//! `counterfoil projections rebuild` beside a server that serves.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::harness::Server;

/// Changes what the live version of the sales says.
async fn add_to_the_sales(server: &Server, pence: i64) {
    let mut database = server.database_as("postgres").connect().await.unwrap();
    let sql = format!("update sales_v1.sales_days set amount = amount + {pence}");
    let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut database).await.unwrap();
    assert!(done.rows_affected() > 0, "something was sold");
    database.close().await.unwrap();
}

#[tokio::test]
async fn all_read_models_are_rebuilt_at_once_but_for_one_that_differs() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 100).await;
    for _ in 0..3 {
        client.buy(&[("MUG", 1)], "tok_approve").await;
    }
    assert!(server.come_to_rest().await.is_empty(), "a stream is kept back");
    add_to_the_sales(&server, 1).await;

    let output = server.run("projections rebuild", &["all", "--json"]).await;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{said}{complained}");
    for expected in ["sales_days", "sales stays as it is", "--accept-differences"] {
        assert!(complained.contains(expected), "{expected:?} is not in: {complained}");
    }
    let rebuilt: BTreeSet<String> = said
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["version"], 2, "{line}");
            assert!(line["compared_at"].is_string(), "{line}");
            line["projection"].as_str().unwrap().to_owned()
        })
        .collect();
    let others = ["attention", "catalog", "feed", "orders", "payments", "stock"];
    assert_eq!(rebuilt, others.map(str::to_owned).into());

    add_to_the_sales(&server, -1).await;
    client.buy(&[("MUG", 1)], "tok_approve").await;
    let output = server.run("projections rebuild", &["all"]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.matches("is live;").count(), 7, "{said}");
    server.stop_and_verify().await;
}
