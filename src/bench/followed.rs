//! What becomes of orders, as a shop's own pages learn it: from the stream of server-sent events.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, bail};
use event_store::Position;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use super::http::Connection;

/// How an order ended, for its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Confirmed, and the money is taken.
    Paid(Position),
    /// Refused.
    Rejected(Position),
}

enum Order {
    Ended(Ending),
    Awaited(oneshot::Sender<Ending>),
}

/// Follows all orders from now on.
#[derive(Clone)]
pub(super) struct Followed(Arc<Mutex<HashMap<Uuid, Order>>>);

#[derive(Deserialize)]
struct Change {
    order_id: Uuid,
    position: Position,
}

impl Followed {
    /// Begins. The task ends with the server, or with an error.
    pub(super) async fn start(address: SocketAddr) -> Result<(Self, JoinHandle<Result<()>>)> {
        let events = Connection::open(address).await?.listen("/events").await?;
        let followed = Self(Arc::default());
        let task = tokio::spawn(followed.clone().listen(events));
        Ok((followed, task))
    }

    /// How an order ends.
    pub(super) async fn ending_of(&self, order_id: Uuid) -> Result<Ending> {
        let awaited = {
            let mut orders = self.orders();
            match orders.remove(&order_id) {
                Some(Order::Ended(ending)) => return Ok(ending),
                Some(Order::Awaited(_)) => bail!("order {order_id} is awaited twice"),
                None => {
                    let (sender, awaited) = oneshot::channel();
                    orders.insert(order_id, Order::Awaited(sender));
                    awaited
                }
            }
        };
        awaited.await.context("the stream of events ended")
    }

    async fn listen(self, mut events: Incoming) -> Result<()> {
        let (mut text, mut name) = (String::new(), String::new());
        while let Some(frame) = events.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            text.push_str(std::str::from_utf8(&data).context("the stream is no text")?);
            while let Some(end) = text.find('\n') {
                let line: String = text.drain(..=end).collect();
                match line.trim_end().split_once(": ") {
                    Some(("event", event)) => event.clone_into(&mut name),
                    Some(("data", data)) => self.take(&name, data)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn take(&self, name: &str, data: &str) -> Result<()> {
        let ending = match name {
            "PaymentCaptured" => Ending::Paid,
            "OrderRejected" => Ending::Rejected,
            "reset" => bail!("events came late: {data}"),
            _ => return Ok(()),
        };
        let change: Change = serde_json::from_str(data).context("a change of another shape")?;
        let ending = ending(change.position);
        let mut orders = self.orders();
        match orders.remove(&change.order_id) {
            Some(Order::Awaited(sender)) => drop(sender.send(ending)),
            Some(Order::Ended(_)) | None => {
                orders.insert(change.order_id, Order::Ended(ending));
            }
        }
        Ok(())
    }

    fn orders(&self) -> MutexGuard<'_, HashMap<Uuid, Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
