//! Over a real socket: bodies that come in pieces, connections that end in the middle.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::Shop;

async fn serve(shop: &Shop) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = shop.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Sends what is given and reads until the server ends the connection.
async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have answered, and closed, before it has read all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: application/json\r\n\
         idempotency-key: key\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

const RECEIPT: &str = r#"{"quantity":1,"reference":"note"}"#;

#[tokio::test]
async fn a_body_in_chunks_is_a_body() {
    let shop = Shop::selling().await;
    let address = serve(&shop).await;
    let chunked: String = RECEIPT.as_bytes().chunks(5).fold(String::new(), |chunks, chunk| {
        chunks + &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
    }) + "0\r\n\r\n";

    let answer =
        exchange(address, &request("/stock/MUG/receipts", "transfer-encoding: chunked\r\n", &chunked)).await;

    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.to_lowercase().contains("counterfoil-position: 3"), "{answer}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let shop = Shop::selling().await;
    let address = serve(&shop).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));

    let answer =
        exchange(address, &request("/checkouts", "transfer-encoding: chunked\r\n", &chunk.repeat(40))).await;

    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let after = exchange(
        address,
        &request("/stock/MUG/receipts", &format!("content-length: {}\r\n", RECEIPT.len()), RECEIPT),
    )
    .await;
    assert!(after.starts_with("HTTP/1.1 200 OK"), "{after}");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_its_body_leaves_nothing_behind() {
    let shop = Shop::selling().await;
    let address = serve(&shop).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(&request("/stock/MUG/receipts", "content-length: 33\r\n", &RECEIPT[..20]))
        .await
        .unwrap();
    drop(stream);

    let whole = request("/stock/MUG/receipts", &format!("content-length: {}\r\n", RECEIPT.len()), RECEIPT);
    let answer = exchange(address, &whole).await;

    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(!answer.to_lowercase().contains("idempotent-replayed"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["position"], 3);
}
