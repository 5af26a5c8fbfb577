//! The services, as the client calls them.

#![allow(clippy::result_large_err, reason = "the error is that of the gRPC library")]

use std::sync::{Arc, Mutex};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::{
    Log, Record, Setup, lock,
    log::{Expected, Outcome, Proposed},
    protocol::event_store::client::{
        Empty, StreamIdentifier, Uuid as ProtocolUuid,
        server_features::{SupportedMethods, server_features_server::ServerFeatures},
        streams::{
            AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, DeleteReq, DeleteResp, ReadReq, ReadResp,
            TombstoneReq, TombstoneResp,
            append_req::{self, options::ExpectedStreamRevision},
            append_resp::{self, success, wrong_expected_version as wrong},
            read_req::options::{
                CountOption, ReadDirection, StreamOption, all_options::AllOption,
                stream_options::RevisionOption,
            },
            read_resp::{self, ReadEvent, StreamNotFound, read_event},
            streams_server::Streams,
        },
        uuid::Value as UuidValue,
    },
};

#[derive(Debug, Clone)]
pub(crate) struct Service {
    log: Arc<Mutex<Log>>,
    setup: Setup,
}

impl Service {
    pub(crate) fn new(log: Arc<Mutex<Log>>, setup: Setup) -> Self {
        Self { log, setup }
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some((user, password)) = &self.setup.credentials else { return Ok(()) };
        let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if given == Some(&wanted) { Ok(()) } else { Err(Status::unauthenticated("Authentication Failed")) }
    }

    fn check_size(&self, events: &[Proposed]) -> Result<(), Status> {
        let max = self.setup.append_bytes_max;
        let size: usize = events.iter().map(|event| event.data.len() + event.custom_metadata.len()).sum();
        if size > max {
            return Err(Status::invalid_argument(format!("Maximum Append Size of {max} Exceeded.")));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ServerFeatures for Service {
    async fn get_supported_methods(&self, _: Request<Empty>) -> Result<Response<SupportedMethods>, Status> {
        let event_store_server_version = "24.10.0".to_owned();
        Ok(Response::new(SupportedMethods { methods: Vec::new(), event_store_server_version }))
    }
}

#[tonic::async_trait]
impl Streams for Service {
    type ReadStream = BoxStream<'static, Result<ReadResp, Status>>;
    type BatchAppendStream = BoxStream<'static, Result<BatchAppendResp, Status>>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        self.admit(&request)?;
        let options = request.into_inner().options.ok_or_else(|| Status::invalid_argument("no options"))?;
        let Some(CountOption::Count(count)) = options.count_option else {
            return Err(Status::unimplemented("subscriptions"));
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let backwards = options.read_direction == ReadDirection::Backwards as i32;
        let log = lock(&self.log);
        let contents = match options.stream_option {
            Some(StreamOption::Stream(stream)) => {
                let name = name_of(stream.stream_identifier)?;
                let wanted = |record: &&Record| match stream.revision_option {
                    Some(RevisionOption::Revision(from)) if backwards => record.revision <= from,
                    Some(RevisionOption::Revision(from)) => record.revision >= from,
                    Some(RevisionOption::Start(_)) => !backwards || record.revision == 0,
                    Some(RevisionOption::End(_)) | None => backwards,
                };
                match log.stream(&name) {
                    None => vec![not_found(name)],
                    Some(records) => page(records.filter(wanted), backwards, count),
                }
            }
            Some(StreamOption::All(all)) => {
                let wanted = |record: &&Record| match all.all_option {
                    Some(AllOption::Position(from)) => {
                        let (at, from) =
                            ((record.commit, record.prepare), (from.commit_position, from.prepare_position));
                        if backwards { at < from } else { at >= from }
                    }
                    Some(AllOption::Start(_)) => !backwards,
                    Some(AllOption::End(_)) | None => backwards,
                };
                page(log.records().iter().filter(wanted), backwards, count)
            }
            None => return Err(Status::invalid_argument("no stream")),
        };
        let answers = contents.into_iter().map(|content| Ok(ReadResp { content: Some(content) }));
        Ok(Response::new(stream::iter(answers.collect::<Vec<_>>()).boxed()))
    }

    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        self.admit(&request)?;
        let mut messages = request.into_inner();
        let mut options = None;
        let mut events = Vec::new();
        while let Some(message) = messages.message().await? {
            match message.content {
                Some(append_req::Content::Options(given)) => options = Some(given),
                Some(append_req::Content::ProposedMessage(event)) => events.push(Proposed {
                    id: id_of(event.id)?,
                    metadata: event.metadata,
                    custom_metadata: event.custom_metadata,
                    data: event.data,
                }),
                None => return Err(Status::invalid_argument("a message without content")),
            }
        }
        let options = options.ok_or_else(|| Status::invalid_argument("no options"))?;
        let stream = name_of(options.stream_identifier)?;
        self.check_size(&events)?;
        let expected = match options.expected_stream_revision {
            Some(ExpectedStreamRevision::Revision(revision)) => Expected::Revision(revision),
            Some(ExpectedStreamRevision::NoStream(_)) => Expected::NoStream,
            Some(ExpectedStreamRevision::StreamExists(_)) => Expected::StreamExists,
            Some(ExpectedStreamRevision::Any(_)) | None => Expected::Any,
        };
        let mut log = lock(&self.log);
        let outcome = log.append(&stream, expected, events);
        if self.setup.chatty {
            log.write("$stats-127.0.0.1:2113", "$statsCollected", "");
        }
        drop(log);
        Ok(Response::new(answer(expected, outcome)))
    }

    async fn delete(&self, _: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        Err(Status::unimplemented("nothing is ever deleted"))
    }

    async fn tombstone(&self, _: Request<TombstoneReq>) -> Result<Response<TombstoneResp>, Status> {
        Err(Status::unimplemented("nothing is ever deleted"))
    }

    async fn batch_append(
        &self,
        _: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        Err(Status::unimplemented("batches are not what our adapter uses"))
    }
}

fn name_of(identifier: Option<StreamIdentifier>) -> Result<String, Status> {
    let name = identifier.map(|identifier| identifier.stream_name).unwrap_or_default();
    match String::from_utf8(name.into()) {
        Ok(name) if !name.is_empty() => Ok(name),
        Ok(_) | Err(_) => Err(Status::invalid_argument("no stream can be called so")),
    }
}

fn id_of(id: Option<ProtocolUuid>) -> Result<Uuid, Status> {
    let wrong = || Status::invalid_argument("no id");
    match id.and_then(|id| id.value).ok_or_else(wrong)? {
        UuidValue::String(text) => text.parse().map_err(|_| wrong()),
        UuidValue::Structured(id) => Ok(Uuid::from_u64_pair(
            id.most_significant_bits.cast_unsigned(),
            id.least_significant_bits.cast_unsigned(),
        )),
    }
}

fn not_found(name: String) -> read_resp::Content {
    let stream_identifier = Some(StreamIdentifier { stream_name: name.into_bytes().into() });
    read_resp::Content::StreamNotFound(StreamNotFound { stream_identifier })
}

fn page<'a>(
    records: impl DoubleEndedIterator<Item = &'a Record>,
    backwards: bool,
    count: usize,
) -> Vec<read_resp::Content> {
    if backwards {
        records.rev().take(count).map(content).collect()
    } else {
        records.take(count).map(content).collect()
    }
}

fn content(record: &Record) -> read_resp::Content {
    let event = read_event::RecordedEvent {
        id: Some(ProtocolUuid { value: Some(UuidValue::String(record.id.to_string())) }),
        stream_identifier: Some(StreamIdentifier { stream_name: record.stream.clone().into_bytes().into() }),
        stream_revision: record.revision,
        prepare_position: record.prepare,
        commit_position: record.commit,
        metadata: record.metadata.clone(),
        custom_metadata: record.custom_metadata.clone(),
        data: record.data.clone(),
    };
    let position = Some(read_event::Position::CommitPosition(record.commit));
    read_resp::Content::Event(ReadEvent { event: Some(event), link: None, position })
}

fn answer(expected: Expected, outcome: Outcome) -> AppendResp {
    let success = |revision, position| {
        append_resp::Result::Success(append_resp::Success {
            current_revision_option: Some(success::CurrentRevisionOption::CurrentRevision(revision)),
            position_option: Some(success::PositionOption::Position(append_resp::Position {
                commit_position: position,
                prepare_position: position,
            })),
        })
    };
    let result = match outcome {
        Outcome::Written { revision, position } => success(revision, position),
        // Of no use, so that nobody comes to rely on it.
        Outcome::WrittenBefore { revision } => success(revision, 0),
        Outcome::WrongRevision { current } => {
            append_resp::Result::WrongExpectedVersion(append_resp::WrongExpectedVersion {
                current_revision_option: Some(match current {
                    Some(revision) => wrong::CurrentRevisionOption::CurrentRevision(revision),
                    None => wrong::CurrentRevisionOption::CurrentNoStream(Empty {}),
                }),
                expected_revision_option: Some(match expected {
                    Expected::Revision(revision) => wrong::ExpectedRevisionOption::ExpectedRevision(revision),
                    Expected::NoStream => wrong::ExpectedRevisionOption::ExpectedNoStream(Empty {}),
                    Expected::Any => wrong::ExpectedRevisionOption::ExpectedAny(Empty {}),
                    Expected::StreamExists => wrong::ExpectedRevisionOption::ExpectedStreamExists(Empty {}),
                }),
                ..append_resp::WrongExpectedVersion::default()
            })
        }
    };
    AppendResp { result: Some(result) }
}
