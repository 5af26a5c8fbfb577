//! A connection to NATS, from the greeting to the stream that events go into. It is made anew after every
//! failure: what a broken connection had still to send is not sent later by itself, behind our back.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event,
    jetstream::{
        Context, ErrorCode,
        context::{AccountErrorKind, ContextBuilder, PublishAckFuture, PublishErrorKind},
        stream::{RawMessageErrorKind, Stream},
    },
};
use event_store::{Position, RecordedEvent};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::watch;

use crate::{
    Address, NatsError,
    address::Identity,
    message::{self, EXPECTED_LAST_ID, MESSAGE_ID},
    strangers::what_a_stranger_says,
    stream,
};

const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// A server that swallows two of these is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// NATS with JetStream and our stream in it.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    pub(crate) context: Context,
    pub(crate) stream: Stream,
    lost: watch::Receiver<Option<Loss>>,
}

/// Why a connection is not worth keeping.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// It broke.
    Broken,
    /// The server objects to what we do there.
    Objection(String),
}

/// Whether the relay could work with this address now: somebody answers, is NATS, lets us in, has JetStream,
/// and its stream is there or can be made.
pub async fn check(address: &Address) -> Result<(), NatsError> {
    Server::reach(address, Duration::from_secs(5)).await.map(|_| ())
}

impl Server {
    /// Connects, and sees to it that the stream is there. `patience` is for each answer of JetStream.
    pub(crate) async fn reach(address: &Address, patience: Duration) -> Result<Self, NatsError> {
        let (name, (tell, lost)) = (address.to_string(), watch::channel(None));
        let client = connect(address, Some(tell)).await?;
        let context = ContextBuilder::new().timeout(patience).build(client);
        let finding = async {
            has_jetstream(&context, &name).await?;
            stream::ensure(&context, &name).await
        };
        let stream = tokio::select! {
            biased;
            found = finding => found?,
            why = why_lost(&name, lost.clone()) => return Err(why),
        };
        Ok(Self { name, context, stream, lost })
    }

    /// Returns when the connection is lost.
    pub(crate) async fn lost(&self) -> NatsError {
        why_lost(&self.name, self.lost.clone()).await
    }

    /// The id of the last message in the stream; `None` when it has none.
    pub(crate) async fn last_id(&self) -> Result<Option<String>, NatsError> {
        let away = |reason: String| NatsError::Away { server: self.name.clone(), reason };
        let info = self.stream.get_info().await.map_err(|error| away(error.to_string()))?;
        if info.state.messages == 0 {
            return Ok(None);
        }
        match self.stream.get_raw_message(info.state.last_sequence).await {
            Ok(last) => Ok(last.headers.get(MESSAGE_ID).map(|id| id.as_str().to_owned())),
            // Somebody deleted it.
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(away(error.to_string())),
        }
    }

    /// Hands an event over, to stand right behind the message with the id `after`. The server takes it only
    /// if it does, so that what follows on something that got lost is refused as well, and **nothing is ever
    /// in the stream before what comes before it in the log**. An event that the stream has is a repeat,
    /// wherever it stands.
    pub(crate) async fn publish(
        &self,
        event: &RecordedEvent,
        after: Option<&str>,
    ) -> Result<PublishAckFuture, NatsError> {
        let mut headers = message::headers(event);
        if let Some(after) = after {
            headers.insert(EXPECTED_LAST_ID, after);
        }
        let sent = self.context.publish_with_headers(message::subject(event), headers, message::body(event));
        sent.await.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => NatsError::TooLarge {
                position: event.position,
                bytes: event.payload.len(),
                max: self.context.client().max_payload(),
            },
            _ => not_acknowledged(event.position, &error),
        })
    }
}

/// What became of an event that was not acknowledged.
pub(crate) fn not_acknowledged(
    position: Position,
    error: &async_nats::error::Error<PublishErrorKind>,
) -> NatsError {
    match error.kind() {
        PublishErrorKind::StreamNotFound => NatsError::StreamGone,
        PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence => {
            NatsError::OutOfOrder { position }
        }
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::MaxPayloadExceeded
        | PublishErrorKind::Other => NatsError::NotAcknowledged { position, reason: error.to_string() },
    }
}

/// A connection that is given up when it breaks, or one that the client renews by itself, without `tell`.
pub(crate) async fn connect(
    address: &Address,
    tell: Option<watch::Sender<Option<Loss>>>,
) -> Result<Client, NatsError> {
    let server = address.to_string();
    let tls = tokio::task::spawn_blocking(tls).await;
    let tls = tls.map_err(|_| NatsError::Tls { server: server.clone(), reason: "interrupted".to_owned() })?;
    let tls = tls.map_err(|reason| NatsError::Tls { server: server.clone(), reason: reason.to_string() })?;
    let mut options = ConnectOptions::new()
        .name("counterfoil")
        .connection_timeout(CONNECT_PATIENCE)
        .ping_interval(PING_INTERVAL)
        .ignore_discovered_servers()
        .tls_client_config(tls);
    options = match address.identity() {
        Identity::Nobody => options,
        Identity::User { name, password } => options.user_and_password(name.clone(), password.clone()),
        Identity::Token(token) => options.token(token.clone()),
    };
    if let Some(tell) = tell {
        options = options.max_reconnects(address.servers().len()).event_callback(move |event| {
            let loss = match event {
                Event::Disconnected | Event::Closed => Some(Loss::Broken),
                Event::ServerError(error) => Some(Loss::Objection(error.to_string())),
                _ => None,
            };
            // The first tells more than what follows from it.
            tell.send_if_modified(|lost| {
                lost.is_none() && loss.is_some_and(|loss| lost.replace(loss).is_none())
            });
            std::future::ready(())
        });
    }
    match options.connect(address.servers()).await {
        Ok(client) => Ok(client),
        Err(error) => Err(unreachable(address, &error).await),
    }
}

pub(crate) async fn why_lost(server: &str, mut lost: watch::Receiver<Option<Loss>>) -> NatsError {
    let server = server.to_owned();
    let loss = lost.wait_for(Option::is_some).await.ok().and_then(|loss| loss.clone());
    match loss {
        Some(Loss::Objection(said)) => NatsError::Objects { server, said },
        Some(Loss::Broken) | None => NatsError::Away { server, reason: "the connection broke".to_owned() },
    }
}

/// Why no connection came about.
async fn unreachable(address: &Address, error: &ConnectError) -> NatsError {
    let server = address.to_string();
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            return NatsError::Refused { server };
        }
        ConnectErrorKind::Tls => return NatsError::Tls { server, reason: error.to_string() },
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => {}
    }
    if is_of_tls(error) {
        return NatsError::Tls { server, reason: error.to_string() };
    }
    for one in address.servers() {
        if let Some(said) = what_a_stranger_says(one).await {
            return NatsError::NotNats { server: format!("{}:{}", one.host(), one.port()), said };
        }
    }
    NatsError::Away { server, reason: error.to_string() }
}

/// What goes wrong in a handshake comes as an I/O error with the true one inside.
fn is_of_tls(error: &ConnectError) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inside = inside.and_then(|inside| inside.downcast_ref::<rustls::Error>());
        if error.is::<rustls::Error>() || inside.is_some() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The client would look for a provider of the whole process, which the client of EventStoreDB does not
/// bear; this one is given to it.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Fails unless the server keeps streams for this account.
pub(crate) async fn has_jetstream(context: &Context, server: &str) -> Result<(), NatsError> {
    let Err(error) = context.query_account().await else { return Ok(()) };
    let server = server.to_owned();
    match error.kind() {
        AccountErrorKind::JetStreamUnavailable => Err(NatsError::NoJetStream { server }),
        AccountErrorKind::JetStream(error)
            if [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT]
                .contains(&error.error_code()) =>
        {
            Err(NatsError::NoJetStream { server })
        }
        AccountErrorKind::TimedOut | AccountErrorKind::JetStream(_) | AccountErrorKind::Other => {
            Err(NatsError::Away { server, reason: format!("asking for JetStream: {error}") })
        }
    }
}
