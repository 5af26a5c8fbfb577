//! Processes that share a log wake each other up over NATS, where the log's engine does not do that: whoever has
//! appended says how far the log reaches, and the others look. **A message here is only a hint.** One that is lost
//! costs the wait for the next poll; one that is doubled, late or forged costs a look at the log.

use std::time::{Duration, Instant};

use async_nats::{Client, Subscriber};
use event_store::Hints;
use futures::StreamExt;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Address, NatsError,
    server::{Loss, connect, why_lost},
};

/// Where the hints go. No stream keeps them.
const SUBJECT: &str = "counterfoil-wake";
/// Whoever appends all the time says so that often, and not each time.
const PACE: Duration = Duration::from_millis(5);
/// How long the server may take to pass a message on.
const PATIENCE: Duration = Duration::from_secs(3);
/// The first and the longest pause after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Whether this address can be used for hints now: somebody answers, is NATS, lets us in, and passes on what we say.
pub async fn check(address: &Address) -> Result<(), NatsError> {
    Line::open(address).await.map(drop)
}

/// Tells the others what this process appends, and passes on what they tell, until `shutdown`. Outages are waited
/// out; what was not told meanwhile is found by those who poll.
pub async fn wake_each_other(address: Address, hints: Hints, shutdown: CancellationToken) {
    let mut away: Option<Instant> = None;
    let mut backoff = BACKOFF_MIN;
    loop {
        let began = Instant::now();
        let session = session(&address, hints.clone(), &mut away);
        let Some(Err(error)) = shutdown.run_until_cancelled(session).await else { return };
        if began.elapsed() > BACKOFF_MAX {
            backoff = BACKOFF_MIN;
        }
        if away.is_none() {
            tracing::warn!(%error, "processes do not wake each other up until NATS is back; they go on by polling");
            away = Some(began);
        } else {
            tracing::debug!(%error, "NATS is still away");
        }
        if shutdown.run_until_cancelled(sleep(backoff)).await.is_none() {
            return;
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// One connection. Ends well only when the store was closed.
async fn session(address: &Address, mut hints: Hints, away: &mut Option<Instant>) -> Result<(), NatsError> {
    let Line { server, client, mut heard, lost } = Line::open(address).await?;
    match away.take() {
        Some(since) => {
            tracing::info!(outage = ?since.elapsed(), "processes wake each other up over NATS again");
        }
        None => tracing::info!(server, "processes wake each other up over NATS"),
    }
    let looking = hints.clone();
    let listening = async {
        while let Some(message) = heard.next().await {
            // Whatever else is said there is not for us.
            let position = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
            if let Some(position) = position {
                looking.look_for(position);
            }
        }
        Err(broken(&server, &"the subscription ended"))
    };
    let telling = async {
        while let Some(position) = hints.appended().await {
            let sent = client.publish(SUBJECT, position.to_string().into());
            sent.await.map_err(|error| broken(&server, &error))?;
            sleep(PACE).await;
        }
        Ok(())
    };
    tokio::select! {
        biased;
        why = why_lost(&server, lost) => Err(why),
        ended = listening => ended,
        ended = telling => ended,
    }
}

/// A connection on which hints come and go.
struct Line {
    /// Host and port.
    server: String,
    client: Client,
    heard: Subscriber,
    lost: watch::Receiver<Option<Loss>>,
}

impl Line {
    /// Connects, and waits until the server has passed something on to us that we said ourselves: it answers
    /// neither a subscription nor a message that it does not let us make.
    async fn open(address: &Address) -> Result<Self, NatsError> {
        let (server, (tell, lost)) = (address.to_string(), watch::channel(None));
        let client = connect(address, Some(tell)).await?;
        let mut heard = client.subscribe(SUBJECT).await.map_err(|error| broken(&server, &error))?;
        let word = client.new_inbox();
        client.publish(SUBJECT, word.clone().into()).await.map_err(|error| broken(&server, &error))?;
        let echo = async {
            while let Some(message) = heard.next().await {
                if message.payload == word {
                    return Ok(());
                }
            }
            Err(broken(&server, &"the subscription ended"))
        };
        tokio::select! {
            biased;
            why = why_lost(&server, lost.clone()) => return Err(why),
            echoed = timeout(PATIENCE, echo) => {
                echoed.unwrap_or_else(|_| Err(broken(&server, &"it passes no messages on")))?;
            }
        }
        Ok(Self { server, client, heard, lost })
    }
}

fn broken(server: &str, reason: &dyn std::fmt::Display) -> NatsError {
    NatsError::Away { server: server.to_owned(), reason: reason.to_string() }
}
