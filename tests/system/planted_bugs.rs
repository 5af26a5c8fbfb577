//! The suite itself under test: bugs that would be fatal are planted in the process, and the scenario
//! that is there for each must bring it to light. A planted bug that goes unnoticed fails here.

use std::sync::Arc;

use crate::{
    database_outages::{check_out_while_the_database_crashes, server_on},
    double_click::units_counted_of_a_repeated_receipt,
    harness::{Acknowledged, PrivateDatabase, Server, ServerOptions, eventually, key, verdict},
    paused_twin::{Paused, pause_and_wake, twins},
};

#[tokio::test]
async fn without_a_unique_key_a_repeated_command_is_counted_twice_and_the_check_says_so() {
    let options = ServerOptions { planted_bugs: Some("no-unique-key"), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;

    let counted = units_counted_of_a_repeated_receipt(&server.client()).await;

    assert!(counted > 1, "the planted bug did nothing");
    server.stop().await;
    let report = server.verify(&[]).await;
    assert_eq!(verdict(&report, "I4"), "broken", "{report:#}");
}

#[tokio::test]
async fn an_acknowledgement_before_the_commit_is_lost_in_a_crash_and_the_check_says_so() {
    let database = Arc::new(PrivateDatabase::start().await);
    let mut server = server_on(&database, Some("acknowledge-before-commit")).await;
    let acknowledged = Acknowledged::default();

    check_out_while_the_database_crashes(&server.client(), &database, &acknowledged).await;

    server.stop().await;
    let report = server.verify_told(&acknowledged).await;
    assert_eq!(verdict(&report, "I4"), "broken", "{report:#}");
}

/// Kills the server right after a checkpoint of a read model is committed, while orders come in.
async fn kill_behind_a_checkpoint(planted_bugs: Option<&'static str>) -> serde_json::Value {
    let options = ServerOptions { planted_bugs, ..ServerOptions::default() };
    let mut server = Server::start_with(options.clone()).await;
    server.client().stock("MUG", 1250, 1000).await;
    server.client().buy(&[("MUG", 1)], "tok_approve").await;
    server.kill();
    // Which read model it is that dies is anybody's guess, and so is whether it was about to write a row.
    for nth in [1, 2, 3, 4, 5, 1, 2, 3, 4, 5] {
        let crash_at = Some(format!("projection.committed:{nth}"));
        server.restart_with(ServerOptions { crash_at, ..options.clone() }).await;
        let client = server.client();
        eventually("the server dies behind a checkpoint", || {
            let dead = !server.runs();
            let client = client.clone();
            async move {
                let body = crate::harness::checkout(&[("MUG", 1)], "tok_approve");
                client.try_post("/checkouts", &key("cart"), &body).await;
                dead.then_some(())
            }
        })
        .await;
    }
    server.restart_with(ServerOptions::default()).await;
    server.client().buy(&[("MUG", 1)], "tok_approve").await;
    server.stop().await;
    server.verify(&[]).await
}

#[tokio::test]
async fn a_kill_behind_a_checkpoint_loses_no_row() {
    let report = kill_behind_a_checkpoint(None).await;
    assert_eq!(report["held"], true, "{report:#}");
}

#[tokio::test]
async fn a_checkpoint_before_its_rows_loses_them_in_a_crash_and_the_check_says_so() {
    let report = kill_behind_a_checkpoint(Some("checkpoint-before-rows")).await;
    assert_eq!(verdict(&report, "I8"), "broken", "{report:#}");
}

#[tokio::test]
async fn without_a_fence_two_projectors_write_the_same_rows_and_the_check_says_so() {
    let database = PrivateDatabase::start().await;
    let (mut first, mut second) = twins(&database, Some("no-fence")).await;

    pause_and_wake(&first, &second, Paused::Idle).await;

    // Two that write the same are mostly saved by the keys of their tables: harm is done when one comes upon an
    // order that the other is in the middle of. One of these is enough.
    for _ in 0..40 {
        let order_id = second.client().place(&key("last"), &[("MUG", 1)], "tok_approve").await;
        // Not more than that it is there: what two writers make of it is anybody's guess.
        eventually("the order is there", || async {
            let seen = first.client().get(&format!("/orders/{order_id}")).await;
            (seen.status == 200).then_some(())
        })
        .await;
    }
    first.stop().await;
    second.stop().await;
    let report = second.verify(&[]).await;
    assert_eq!(verdict(&report, "I8"), "broken", "{report:#}");
}
