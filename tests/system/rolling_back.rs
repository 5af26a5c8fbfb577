//! Going back to the version of a read model that a rebuild replaced, beside the server that serves it.

use serde_json::{Value, json};

use crate::harness::Server;

#[tokio::test]
async fn a_rebuilt_read_model_is_rolled_back_and_forth_while_it_is_served() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    let before = client.buy(&[("MUG", 1)], "tok_approve").await;

    let output = server.run("projections roll-back", &["orders"]).await;
    let advised = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && advised.contains("projections rebuild orders"), "{advised}");

    let output = server.run("projections rebuild", &["orders"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let between = client.buy(&[("MUG", 2)], "tok_approve").await;

    // What came in since is there in either version.
    for version in [1, 2] {
        let output = server.run("projections roll-back", &["orders", "--json"]).await;
        let live: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(live, json!({"projection": "orders", "version": version}), "{errors}");
        for order_id in [&before, &between] {
            let order = client.get(&format!("/orders/{order_id}")).await.expect(200);
            assert_eq!(order.body["payment_status"], "captured");
        }
        client.buy(&[("MUG", 3)], "tok_approve").await;
    }
    server.stop_and_verify().await;
}
