//! One lease's worth of publishing: events go out in the order of the log, many before the first is
//! acknowledged. **The checkpoint passes an event only when JetStream has acknowledged it and all before it.**
//! The first failure ends it; whoever begins again begins at the checkpoint, and what JetStream had already
//! taken by then is a repeat to it.

use std::{collections::VecDeque, time::Duration};

use async_nats::jetstream::{context::PublishError, publish::PublishAck};
use event_store::{Filter, Page, Position, RecordedEvent, StoreError};
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, FuturesOrdered},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Relay,
    progress::Lease,
    server::{Server, not_acknowledged},
};

/// How much may be on its way at once.
const IN_FLIGHT_MAX: usize = 512;
const IN_FLIGHT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often the checkpoint is kept while events go out. A relay that is killed publishes no more than this
/// again.
const SAVE_EVERY: Duration = Duration::from_millis(250);
/// How long a shutdown waits for what is on its way.
const LAST_ACKS: Duration = Duration::from_secs(5);

struct Acknowledged {
    position: Position,
    bytes: usize,
    answer: Result<PublishAck, PublishError>,
}

pub(crate) struct Publishing<'a> {
    relay: &'a Relay,
    server: &'a Server,
    lease: Lease,
    pages: BoxStream<'static, Result<Page, StoreError>>,
    /// Read and not yet sent.
    waiting: VecDeque<RecordedEvent>,
    in_flight: FuturesOrdered<BoxFuture<'static, Acknowledged>>,
    in_flight_bytes: usize,
    /// The id of the message that the next one follows on.
    last_id: Option<String>,
    /// Everything in the log up to here has been read.
    scanned: Position,
    acknowledged: Position,
    saved: Position,
    /// When the checkpoint was kept and the lease renewed, by the machine's own clock.
    saved_at: Instant,
}

impl<'a> Publishing<'a> {
    /// Begins behind the checkpoint. The lease was taken at `leased_at` or later.
    pub(crate) async fn begin(
        relay: &'a Relay,
        server: &'a Server,
        (lease, checkpoint): (Lease, Position),
        leased_at: Instant,
    ) -> Result<Self, Error> {
        Ok(Self {
            relay,
            server,
            lease,
            pages: relay.store.follow(checkpoint, Filter::all()),
            waiting: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            in_flight_bytes: 0,
            last_id: server.last_id().await?,
            scanned: checkpoint,
            acknowledged: checkpoint,
            saved: checkpoint,
            saved_at: leased_at,
        })
    }

    /// Publishes until `shutdown`, or something is in the way. Keeps what was acknowledged, and gives the
    /// lease back for whoever can do better.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        let ended = self.publish(shutdown).await;
        if let Err(Error::Fenced { .. }) = ended {
            return ended;
        }
        let kept = self.save().await;
        let released = self.relay.progress.release(self.lease).await;
        ended.and(kept).and(released)
    }

    async fn publish(&mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        loop {
            // Before anything is sent: a process that was paused must not go on as if nothing had happened.
            if self.is_time_to_save() {
                self.save().await?;
            }
            self.send_what_may_go().await?;
            if self.in_flight.is_empty() {
                self.acknowledged = self.scanned;
                self.relay.condition.well(true);
            }
            let pause =
                if self.acknowledged > self.saved { SAVE_EVERY } else { self.relay.options.lease / 3 };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.finish().await,
                lost = self.server.lost() => return Err(lost.into()),
                Some(acknowledged) = self.in_flight.next() => self.take_note(acknowledged)?,
                page = self.pages.next(), if self.waiting.is_empty() => self.take_on(page)?,
                () = tokio::time::sleep_until(self.saved_at + pause) => {}
            }
        }
    }

    fn is_time_to_save(&self) -> bool {
        let since = self.saved_at.elapsed();
        since > self.relay.options.lease / 3 || self.acknowledged > self.saved && since > SAVE_EVERY
    }

    async fn save(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        self.relay.progress.save(self.lease, self.relay.options.lease, self.acknowledged).await?;
        (self.saved, self.saved_at) = (self.acknowledged, now);
        Ok(())
    }

    async fn send_what_may_go(&mut self) -> Result<(), Error> {
        while self.in_flight.len() < IN_FLIGHT_MAX && self.in_flight_bytes < IN_FLIGHT_BYTES_MAX {
            let Some(event) = self.waiting.pop_front() else { return Ok(()) };
            let answer = match self.server.publish(&event, self.last_id.as_deref()).await {
                Ok(answer) => answer.into_future(),
                Err(error) => {
                    // What went out before it counts, or an event that can never be sent would hold it up, too.
                    self.finish().await?;
                    return Err(error.into());
                }
            };
            let (position, bytes) = (event.position, event.payload.len());
            self.last_id = Some(event.id.to_string());
            self.in_flight_bytes += bytes;
            self.in_flight
                .push_back(async move { Acknowledged { position, bytes, answer: answer.await } }.boxed());
        }
        Ok(())
    }

    fn take_note(&mut self, acknowledged: Acknowledged) -> Result<(), Error> {
        let Acknowledged { position, bytes, answer } = acknowledged;
        self.in_flight_bytes -= bytes;
        let answer = answer.map_err(|error| not_acknowledged(position, &error))?;
        if answer.duplicate {
            tracing::debug!(%position, "JetStream had this event already");
        }
        self.acknowledged = position;
        self.relay.condition.well(true);
        Ok(())
    }

    fn take_on(&mut self, page: Option<Result<Page, StoreError>>) -> Result<(), Error> {
        let closed = || StoreError::Unavailable {
            doing: "following the log",
            reason: "the store was closed".to_owned(),
        };
        let page = page.ok_or_else(closed)??;
        self.scanned = page.scanned;
        self.waiting.extend(page.events);
        Ok(())
    }

    /// Waits for what is on its way, for a while.
    async fn finish(&mut self) -> Result<(), Error> {
        let last = async {
            while let Some(acknowledged) = self.in_flight.next().await {
                self.take_note(acknowledged)?;
            }
            Ok(())
        };
        tokio::time::timeout(LAST_ACKS, last).await.unwrap_or(Ok(()))
    }
}
