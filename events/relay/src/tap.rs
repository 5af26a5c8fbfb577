//! The tap: what a system outside of Counterfoil does to get every event, as an example to copy. Its consumer
//! is ephemeral and ordered: it leaves nothing behind in the server, and begins again behind the last message
//! whenever one is missing or the connection breaks. (The client's own ordered consumer does the same, but
//! never notices that a stream was made anew.) What comes is held against the revisions of each stream: **a gap
//! and a double show there, whoever caused them.**

mod continuity;

use std::{str::FromStr, time::Duration};

use async_nats::jetstream::{
    self, Context, ErrorCode,
    consumer::{
        AckPolicy, Consumer, DeliverPolicy,
        pull::{Config, Stream as Messages},
    },
    context::{ContextBuilder, GetStreamErrorKind},
    stream::Stream,
};
use event_store::{NotAPosition, Position};
use futures::StreamExt;

pub use crate::message::Received;
use crate::{
    Address, NatsError, STREAM,
    server::{connect, has_jetstream},
};
use continuity::Continuity;
pub use continuity::{Finding, Summary};

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);
/// A server that is silent for two of these has forgotten us.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest message that the server still has.
    Start,
    /// With what is published from now on.
    New,
    /// With the event at this position of the log, or the first behind it.
    Position(Position),
}

impl FromStr for From {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        match text {
            "start" => Ok(Self::Start),
            "new" => Ok(Self::New),
            position => position.parse().map(Self::Position),
        }
    }
}

/// One message, and what is remarkable about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An event.
    Event {
        /// What came.
        received: Received,
        /// A gap before it, or that it came before.
        finding: Option<Finding>,
    },
    /// A message that no relay published.
    Strange {
        /// Where it came.
        subject: String,
    },
}

/// A consumer of events. Everything that comes through it is held against what came before.
pub struct Tap {
    context: Context,
    stream: Stream,
    messages: Messages,
    subject: String,
    from: From,
    continuity: Continuity,
    /// Where in the JetStream stream the last message was.
    sequence: u64,
    /// How many this consumer has had.
    delivered: u64,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap")
            .field("subject", &self.subject)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl Tap {
    /// Begins to consume what is published on a subject, which may have wildcards.
    pub async fn open(address: &Address, subject: &str, from: From) -> Result<Self, NatsError> {
        if !["counterfoil", "*", ">"].contains(&subject.split('.').next().unwrap_or_default()) {
            let reason = "events are published on counterfoil.<category>.<event>".to_owned();
            return Err(NatsError::NoConsumer { subject: subject.to_owned(), reason });
        }
        let server = address.to_string();
        let client = connect(address, None).await?;
        let context = ContextBuilder::new().timeout(PATIENCE).build(client);
        has_jetstream(&context, &server).await?;
        let stream = find(&context, &server).await?;
        let state = &stream.cached_info().state;
        let has_all = state.first_sequence <= 1;
        let sequence = if from == From::New { state.last_sequence } else { 0 };
        let messages = consume(&stream, subject, sequence).await?;
        let continuity = Continuity::new(subject, from == From::Start && has_all);
        Ok(Self {
            context,
            stream,
            messages,
            subject: subject.to_owned(),
            from,
            continuity,
            sequence,
            delivered: 0,
        })
    }

    /// The next message, however long it takes. Outages are waited out. Nothing is lost when this is given up
    /// in the middle.
    pub async fn next(&mut self) -> Seen {
        loop {
            match self.messages.next().await {
                Some(Ok(message)) => match message.info() {
                    Ok(info) if info.consumer_sequence == self.delivered + 1 => {
                        (self.delivered, self.sequence) = (info.consumer_sequence, info.stream_sequence);
                        if let Some(seen) = self.take(&message) {
                            return seen;
                        }
                    }
                    Ok(_) | Err(_) => self.reopen("a message was lost on the way").await,
                },
                Some(Err(error)) => self.reopen(&error.to_string()).await,
                None => self.reopen("the server ended the subscription").await,
            }
        }
    }

    /// What came until now.
    pub fn summary(&self) -> Summary {
        self.continuity.summary()
    }

    fn take(&mut self, message: &jetstream::Message) -> Option<Seen> {
        let Some(received) = Received::read(&message.message) else {
            self.continuity.strange();
            return Some(Seen::Strange { subject: message.subject.to_string() });
        };
        if matches!(self.from, From::Position(first) if received.position < first) {
            return None;
        }
        let finding = self.continuity.see(&received);
        Some(Seen::Event { received, finding })
    }

    /// Subscribes again behind the last message; in a stream that was made anew, from its beginning.
    async fn reopen(&mut self, reason: &str) {
        tracing::info!(reason, "the tap has lost its subscription, and tries again until it has one");
        loop {
            tokio::time::sleep(PAUSE).await;
            let Ok(stream) = find(&self.context, "the server").await else { continue };
            if stream.cached_info().created != self.stream.cached_info().created {
                self.sequence = 0;
            }
            if let Ok(messages) = consume(&stream, &self.subject, self.sequence).await {
                (self.stream, self.messages, self.delivered) = (stream, messages, 0);
                return;
            }
        }
    }
}

async fn find(context: &Context, server: &str) -> Result<Stream, NatsError> {
    context.get_stream(STREAM).await.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            NatsError::NoStream { server: server.to_owned() }
        }
        _ => NatsError::Away { server: server.to_owned(), reason: error.to_string() },
    })
}

async fn consume(stream: &Stream, subject: &str, after: u64) -> Result<Messages, NatsError> {
    let config = Config {
        filter_subject: subject.to_owned(),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        memory_storage: true,
        inactive_threshold: HEARTBEAT * 15,
        ..Config::default()
    };
    let refused = |reason: String| NatsError::NoConsumer { subject: subject.to_owned(), reason };
    let consumer: Consumer<Config> =
        stream.create_consumer(config).await.map_err(|error| refused(error.to_string()))?;
    let messages = consumer.stream().heartbeat(HEARTBEAT).expires(HEARTBEAT * 5).messages().await;
    messages.map_err(|error| refused(error.to_string()))
}
