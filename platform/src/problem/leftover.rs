//! What is left of a body that nobody read to its end. Closing a connection on a client that is still
//! sending resets it, and the client never gets to read why it was refused; so the rest is taken in and
//! thrown away first, up to a limit.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use futures::{Stream, StreamExt};
use tokio::sync::oneshot;

/// The most that is taken in. Whoever sends more than this sees the connection reset.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers an error only when the client has sent its whole body, or more than anybody should.
pub(super) async fn take_in(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (give_back, given_back) = oneshot::channel();
    let lent = Lent { body: Some(body.into_data_stream()), give_back: Some(give_back) };
    let response = next.run(Request::from_parts(parts, Body::from_stream(lent))).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        let rest = async {
            let Ok(mut rest) = given_back.await else { return };
            let mut bytes = 0;
            while bytes < BYTES_MAX
                && let Some(Ok(piece)) = rest.next().await
            {
                bytes += piece.len();
            }
        };
        // A client that is slower than this learns less.
        let _ = tokio::time::timeout(PATIENCE, rest).await;
    }
    response
}

/// A body that comes back when whoever reads it is done.
struct Lent {
    body: Option<BodyDataStream>,
    give_back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.body {
            Some(body) => body.poll_next_unpin(context),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take()) {
            // Nobody waits for it after an answer that is no error.
            let _ = give_back.send(body);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::net::SocketAddr;

    use axum::{Json, Router, extract::DefaultBodyLimit, routing::post};
    use serde_json::Value;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use crate::problem::with_fallbacks;

    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", post(|Json(_): Json<Value>| async { "ok" }))
            .layer(DefaultBodyLimit::max(1024));
        tokio::spawn(async move { axum::serve(listener, with_fallbacks(router)).await });
        address
    }

    #[tokio::test]
    async fn a_client_that_sends_far_too_much_before_it_reads_is_still_told_why_it_was_refused() {
        let mut client = TcpStream::connect(server().await).await.unwrap();
        let body = vec![b'x'; 8 * 1024 * 1024];
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
        client.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
        client.write_all(&body).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }

    #[tokio::test]
    async fn a_body_that_is_right_arrives_whole() {
        let mut client = TcpStream::connect(server().await).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
        client.write_all(format!("{head}Content-Length: 7\r\n\r\n[1, 2 ]").as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"), "{answer}");
    }
}
