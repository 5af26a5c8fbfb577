//! A customer's connection: HTTP/1.1, kept open, one request after the other. As thin as it can be, because
//! it shares the machine with what is measured.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use event_store::Position;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::net::TcpStream;

/// A connection to the server.
pub(super) struct Connection {
    address: SocketAddr,
    sender: http1::SendRequest<Full<Bytes>>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// Fails for any other status.
    pub(super) fn expect(self, status: StatusCode) -> Result<Self> {
        ensure!(
            self.status == status,
            "answered {} where {status} was expected: {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        Ok(self)
    }

    /// Whether it is a refusal of this type.
    pub(super) fn is_problem(&self, name: &str) -> bool {
        #[derive(Deserialize)]
        struct Refusal<'a> {
            r#type: &'a str,
        }
        let is = |refusal: Refusal<'_>| refusal.r#type.strip_prefix("/problems/") == Some(name);
        self.status.is_client_error() && serde_json::from_slice(&self.body).is_ok_and(is)
    }

    /// What it says.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).context("an answer of another shape")
    }
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// So many connections.
    pub(super) async fn open_many(address: SocketAddr, count: usize) -> Result<Vec<Self>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Self::open(address).await?);
        }
        Ok(connections)
    }

    pub(super) async fn get(&mut self, path: &str, fresh: Option<Position>) -> Result<Answer> {
        let mut request = self.request(Method::GET, path);
        if let Some(position) = fresh {
            request =
                request.header("counterfoil-at-least", position.to_string()).header("prefer", "wait=20");
        }
        self.send(request.body(Full::default())?).await
    }

    pub(super) async fn post(&mut self, path: &str, idempotency_key: &str, body: &Value) -> Result<Answer> {
        let request = self.request(Method::POST, path);
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", idempotency_key);
        self.send(request.body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?).await
    }

    /// An answer that goes on and on.
    pub(super) async fn listen(mut self, path: &str) -> Result<Incoming> {
        let request = self.request(Method::GET, path).body(Full::default())?;
        let response = self.sender.send_request(request).await?;
        ensure!(response.status() == StatusCode::OK, "{path} was answered {}", response.status());
        Ok(response.into_body())
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header(header::HOST, self.address.to_string())
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
}
