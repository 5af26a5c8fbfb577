//! The JetStream stream that events are published to, as the relay makes it where it is missing. One that is
//! there is used as it is: replicas, limits and placement are its operator's affair, as long as it takes every
//! event and says so.

use std::time::Duration;

use async_nats::jetstream::{
    Context, ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};

use crate::{ANYTHING, NatsError, STREAM};

/// How long a message is kept. Whoever was away for longer asks for a rewind, or reads the log's API.
const MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// How long the server remembers which events it has. An event whose acknowledgement was lost is published
/// again when NATS can be reached again; within this time it is dropped there as a repeat. The server keeps
/// the ids of this time in memory, about a hundred bytes each.
const DUPLICATE_WINDOW: Duration = Duration::from_hours(2);

/// Finds the stream, or makes it.
pub(crate) async fn ensure(context: &Context, server: &str) -> Result<Stream, NatsError> {
    let away = |reason: String| NatsError::Away { server: server.to_owned(), reason };
    match context.get_stream(STREAM).await {
        Ok(stream) => {
            suits(&stream.cached_info().config)
                .map_err(|reason| NatsError::UnfitStream { server: server.to_owned(), reason })?;
            return Ok(stream);
        }
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
            _ => return Err(away(error.to_string())),
        },
    }
    match context.create_stream(config()).await {
        Ok(stream) => {
            tracing::info!(stream = STREAM, server, "made the JetStream stream that events are published to");
            Ok(stream)
        }
        Err(error) => match error.kind() {
            CreateStreamErrorKind::JetStream(error)
                if error.error_code() != ErrorCode::CLUSTER_NOT_AVAILABLE =>
            {
                let mut reason = error.to_string();
                if error.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP
                    && let Ok(other) = context.stream_by_subject(ANYTHING).await
                {
                    reason = format!("the stream {other} takes subjects of {ANYTHING} already");
                }
                Err(NatsError::Unmakable { server: server.to_owned(), reason })
            }
            _ => Err(away(error.to_string())),
        },
    }
}

fn config() -> Config {
    Config {
        name: STREAM.to_owned(),
        description: Some("Every event of Counterfoil, by its relay".to_owned()),
        subjects: vec![ANYTHING.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: MAX_AGE,
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    }
}

/// Whether a stream that somebody else made can be used; why not, if it cannot.
fn suits(config: &Config) -> Result<(), String> {
    if !config.subjects.iter().any(|subject| [ANYTHING, "*.>", ">"].contains(&subject.as_str())) {
        return Err(format!("it takes {:?} and not all of {ANYTHING}", config.subjects));
    }
    if config.no_ack {
        return Err("it is set not to acknowledge what it takes".to_owned());
    }
    if config.discard == DiscardPolicy::New {
        tracing::debug!("the stream refuses events when it is full; the relay waits then");
    }
    Ok(())
}
