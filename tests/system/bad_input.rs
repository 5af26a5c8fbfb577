//! Requests that nobody should send, over the real socket: each is refused with a problem that says
//! what is wrong and where, leaves nothing behind, and the server goes on serving.

use std::time::Duration;

use event_store::Position;
use platform::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Answer, Client, Server, checkout, key, webhook};

/// Sends bytes as a body, as if they were JSON.
async fn post_bytes(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = client
        .request(Method::POST, path)
        .header("Idempotency-Key", key("raw"))
        .header("Content-Type", "application/json")
        .body(body);
    client.send(request).await
}

/// The refusal of a body: a problem of one of these statuses.
async fn refused(client: &Client, path: &str, body: &Value, statuses: &[u16]) -> Answer {
    let answer = client.post(path, &key("bad"), body).await;
    assert!(statuses.contains(&answer.status.as_u16()), "{path} {}: {:#}", answer.status, answer.body);
    answer.problem();
    answer
}

/// Where the faults of a body are, as the answer tells.
fn pointers(answer: &Answer) -> Vec<&str> {
    let errors = answer.body["errors"].as_array().unwrap_or_else(|| panic!("{:#}", answer.body));
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

/// The end of everything that is tried here: nothing was written, the server serves, the books are right.
async fn still_serves(mut server: Server, before: Position) {
    let head = server.log().head().await;
    assert_eq!(head, before, "a refusal left something behind");
    server.client().buy(&[("MUG", 1)], "tok_approve").await;
    server.stop_and_verify().await;
}

async fn shop() -> (Server, Client, Position) {
    let server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 1000).await;
    let head = server.log().head().await;
    (server, client, head)
}

#[tokio::test]
async fn carts_that_no_shop_could_sell_are_refused_with_every_fault_and_its_place() {
    let (server, client, before) = shop().await;

    for quantity in [0, -1, i64::MIN, i64::MAX, 1_000_000_000_000] {
        let body = checkout(&[("MUG", 1), ("MUG", quantity)], "tok_approve");
        let answer = refused(&client, "/checkouts", &body, &[400, 409, 422]).await;
        assert!(pointers(&answer).iter().any(|at| at.starts_with("/lines/1")), "{:#}", answer.body);
    }
    for quantity in [json!(1.5), json!("2"), json!(null), json!(1e300), json!(18_446_744_073_709_551_615_u64)]
    {
        let mut body = checkout(&[("MUG", 1)], "tok_approve");
        body["lines"][0]["quantity"] = quantity;
        refused(&client, "/checkouts", &body, &[400, 422]).await;
    }

    // All faults at once, not the first.
    let body = json!({
        "currency": "XXQ",
        "lines": [{"sku": "MUG", "quantity": 0}, {"sku": "", "quantity": 1}, {"sku": "NOBODY", "quantity": -3}],
        "payment_method": "",
    });
    let answer = refused(&client, "/checkouts", &body, &[400, 422]).await;
    for place in ["/currency", "/lines/0", "/lines/1", "/lines/2", "/payment_method"] {
        assert!(pointers(&answer).iter().any(|at| at.starts_with(place)), "{place}: {:#}", answer.body);
    }

    let unknown = checkout(&[("MUG", 1), ("NO-SUCH-THING", 1)], "tok_approve");
    let answer = refused(&client, "/checkouts", &unknown, &[422]).await;
    assert_eq!((answer.problem(), pointers(&answer)), ("lines-not-sellable", vec!["/lines/1/sku"]));
    refused(
        &client,
        "/checkouts",
        &json!({"currency": "GBP", "lines": [], "payment_method": "t"}),
        &[400, 422],
    )
    .await;
    let ten_thousand = checkout(&vec![("MUG", 1); 10_000], "tok_approve");
    refused(&client, "/checkouts", &ten_thousand, &[400, 413, 422]).await;
    still_serves(server, before).await;
}

#[tokio::test]
async fn quantities_and_amounts_at_the_limits_of_64_bits_are_refused_and_never_wrap() {
    let (server, client, _) = shop().await;
    let paid = client.buy(&[("MUG", 1)], "tok_approve").await;
    server.come_to_rest().await;
    let before = server.log().head().await;

    for quantity in [0, -5, i64::MIN, i64::MAX] {
        let body = json!({"quantity": quantity, "reference": "x"});
        refused(&client, "/stock/MUG/receipts", &body, &[400, 409, 422]).await;
    }
    for delta in [0, -1001, i64::MIN, i64::MAX] {
        refused(&client, "/stock/MUG/adjustments", &json!({"delta": delta, "reason": "x"}), &[400, 409, 422])
            .await;
    }
    for amount in [-1, i64::MIN] {
        let price = json!({"price": {"amount": amount, "currency": "GBP"}});
        refused(&client, "/products/MUG/prices", &price, &[400, 409, 422]).await;
    }
    let nobody = uuid::Uuid::new_v4();
    for (amount, of_the_paid, of_nobody) in [
        (0, 400, 400),
        (-1, 400, 400),
        (i64::MIN, 400, 400),
        (i64::MAX, 400, 400),
        (9_007_199_254_740_991, 409, 404),
        (1, 409, 404),
    ] {
        let money = json!({"amount": amount, "currency": "GBP"});
        let refund = json!({"amount": money, "reason": "x"});
        let capture = json!({"amount": money});
        refused(&client, &format!("/payments/{paid}/captures"), &capture, &[of_the_paid]).await;
        refused(&client, &format!("/payments/{nobody}/captures"), &capture, &[of_nobody]).await;
        refused(&client, &format!("/payments/{nobody}/refunds"), &refund, &[of_nobody]).await;
        // A penny of it could be given back.
        if amount != 1 {
            refused(&client, &format!("/payments/{paid}/refunds"), &refund, &[of_the_paid]).await;
        }
    }
    still_serves(server, before).await;
}

#[tokio::test]
async fn what_is_not_a_request_at_all_is_refused_as_what_it_is() {
    let (server, client, before) = shop().await;

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for nonsense in ["", "{", "null", "[]", "\"checkout\"", "{\"lines\":", "\u{0}", deep.as_str()] {
        let answer = post_bytes(&client, "/checkouts", nonsense.to_owned()).await;
        assert!([400, 413, 422].contains(&answer.status.as_u16()), "{} {:#}", answer.status, answer.body);
        answer.problem();
    }
    let broken_utf8 = b"{\"currency\":\"\xff\xfe\"}".to_vec();
    assert_eq!(post_bytes(&client, "/checkouts", broken_utf8).await.expect(400).problem(), "malformed-json");

    let body = checkout(&[("MUG", 1)], "tok_approve");
    let typed = client
        .request(Method::POST, "/checkouts")
        .header("Idempotency-Key", key("typed"))
        .header("Content-Type", "text/plain")
        .body(body.to_string());
    assert_eq!(client.send(typed).await.expect(415).problem(), "unsupported-media-type");

    let mut padded = checkout(&[("MUG", 1)], "tok_approve");
    padded["payment_method"] = json!("x".repeat(5 * 1024 * 1024));
    assert_eq!(
        post_bytes(&client, "/checkouts", padded.to_string()).await.expect(413).problem(),
        "body-too-large"
    );

    let mut with_price = checkout(&[("MUG", 1)], "tok_approve");
    with_price["lines"][0]["price"] = json!(1);
    refused(&client, "/checkouts", &with_price, &[400, 422]).await;

    for key in [String::new(), "k".repeat(201)] {
        let request = client.request(Method::POST, "/checkouts").header("Idempotency-Key", key).json(&body);
        client.send(request).await.expect(400).problem();
    }
    client.send(client.request(Method::POST, "/checkouts").json(&body)).await.expect(400).problem();

    client.get("/orders/not-an-id").await.expect(404).problem();
    client.get("/orders?limit=-1").await.expect(400).problem();
    client.get("/orders?cursor=%00garbage").await.expect(400).problem();
    still_serves(server, before).await;
}

#[tokio::test]
async fn what_no_route_takes_is_answered_with_the_callers_request_id_like_everything_else() {
    let (server, client, before) = shop().await;
    let header = "counterfoil-request-id";
    let id = uuid::Uuid::new_v4().to_string();

    for (method, path, status, problem) in [
        (Method::GET, "/nowhere", 404, "not-found"),
        (Method::POST, "/nowhere", 404, "not-found"),
        (Method::DELETE, "/checkouts", 405, "method-not-allowed"),
        (Method::PUT, "/orders", 405, "method-not-allowed"),
    ] {
        let answer = client.send(client.request(method.clone(), path).header(header, &id)).await;
        assert_eq!((answer.problem(), answer.header(header)), (problem, id.as_str()), "{method} {path}");
        let answer = client.send(client.request(method.clone(), path)).await.expect(status);
        assert!(answer.header(header).parse::<uuid::Uuid>().is_ok(), "{method} {path}");
    }
    still_serves(server, before).await;
}

#[tokio::test]
async fn texts_that_try_to_be_something_else_are_kept_out_or_kept_as_text() {
    let (server, client, before) = shop().await;

    let long = "S".repeat(65);
    for sku in ["", " MUG", "MUG ", "M\u{0}G", "Möwe", "a\nb", long.as_str()] {
        let product = json!({"sku": sku, "title": "x", "prices": [{"amount": 1, "currency": "GBP"}]});
        refused(&client, "/products", &product, &[400, 422]).await;
    }
    let product =
        json!({"sku": "LONG", "title": "t".repeat(100_000), "prices": [{"amount": 1, "currency": "GBP"}]});
    refused(&client, "/products", &product, &[400, 413, 422]).await;
    let receipt = json!({"quantity": 1, "reference": "zero \u{0} byte"});
    let answer = client.post("/stock/MUG/receipts", &key("zero"), &receipt).await;
    assert!(answer.status.as_u16() < 500, "{:#}", answer.body);
    // What was kept is one event, and the answer says where it is.
    let kept = answer.status.is_success().then(|| answer.header("counterfoil-position").parse().unwrap());
    still_serves(server, kept.unwrap_or(before)).await;
}

#[tokio::test]
async fn webhooks_that_are_unsigned_or_forged_are_refused_and_nothing_of_them_is_kept() {
    let (server, client, before) = shop().await;
    let notice =
        webhook::approval(&uuid::Uuid::new_v4().to_string(), events::payment::Operation::Authorize, 1250);
    let body = serde_json::to_vec(&notice).unwrap();

    for signature in [None, Some(""), Some("t=1,v1=00"), Some("v1=,t="), Some("t=99999999999999999999,v1=00")]
    {
        let answer = client.deliver_raw(body.clone(), signature).await.expect(401);
        answer.problem();
    }
    let answer = client.deliver_signed(&notice, "guessed", Clock::system().now()).await.expect(401);
    assert!(!answer.body.to_string().contains(webhook::SECRET));
    // Well signed, and no notification.
    for nonsense in [&b"{}"[..], b"[]", b"not json", b"\xff"] {
        let signature = sagas::gateway::sandbox::signature::sign(
            webhook::SECRET.as_bytes(),
            Clock::system().now(),
            nonsense,
        );
        let answer = client.deliver_raw(nonsense.to_vec(), Some(&signature)).await;
        assert!((400..500).contains(&answer.status.as_u16()), "{:#}", answer.body);
    }
    client.deliver_raw(vec![b'x'; 5 * 1024 * 1024], Some("t=1,v1=00")).await.expect(413);

    let document = client.get("/openapi.json").await.expect(200).body;
    let documented = &document["paths"]["/webhooks/payments/{provider}"]["post"]["responses"];
    for status in ["200", "400", "401", "404", "413", "503"] {
        assert!(documented[status].is_object(), "{status} is not in {documented:#}");
    }
    still_serves(server, before).await;
}

#[tokio::test]
async fn connections_that_break_off_or_never_get_to_the_point_disturb_nobody() {
    let (server, client, before) = shop().await;
    let address = ("127.0.0.1", server.port());

    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"POST /checkouts HTTP/1.1\r\nHost: x\r\nContent-Le").await.unwrap();
        idle.push(silent);
    }
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", &[0xff; 4096]]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        // Closed or reset, with an answer or without; but not left open.
        let _ = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("it is closed");
    }
    // A body that promises more than it holds.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        "POST /checkouts HTTP/1.1\r\nHost: x\r\nIdempotency-Key: cut\r\nContent-Type: application/json\r\n";
    stream.write_all(format!("{head}Content-Length: 500\r\n\r\n{{\"currency\"").as_bytes()).await.unwrap();
    drop(stream);

    client.stock_at("MUG", 1000, 0, 0).await;
    drop(idle);
    still_serves(server, before).await;
}
