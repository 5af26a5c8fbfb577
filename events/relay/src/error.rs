//! What can go wrong on the way to NATS, told apart by whether waiting helps.

use event_store::{ColumnError, Position, StoreError};

use crate::STREAM;

/// NATS cannot be used, or not now. No credentials are in any of these.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// Nobody answers, or the connection broke.
    #[error("NATS at {server} cannot be reached: {reason}")]
    Away {
        /// Host and port.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// The server does not let us do what a relay does, or not now.
    #[error("NATS at {server} objects: {said}")]
    Objects {
        /// Host and port.
        server: String,
        /// What it said.
        said: String,
    },
    /// Something answers there, and it is no NATS server.
    #[error("what answers at {server} is not NATS: {said}")]
    NotNats {
        /// Host and port.
        server: String,
        /// How it showed.
        said: String,
    },
    /// The server does not let us in.
    #[error("NATS at {server} refuses the user and password of the URL, or wants some and the URL has none")]
    Refused {
        /// Host and port.
        server: String,
    },
    /// No secure connection can be made.
    #[error("no secure connection can be made to NATS at {server}: {reason}")]
    Tls {
        /// Host and port.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// The server keeps nothing.
    #[error(
        "NATS at {server} has no JetStream, for this account at least: start it with `-js`, or switch JetStream on in its configuration"
    )]
    NoJetStream {
        /// Host and port.
        server: String,
    },
    /// The stream is there and cannot be used.
    #[error("the JetStream stream {STREAM} at {server} cannot be used: {reason}")]
    UnfitStream {
        /// Host and port.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The stream is not there, and cannot be made.
    #[error(
        "the JetStream stream {STREAM} cannot be made at {server}: {reason}; make it yourself, with the subject counterfoil.>"
    )]
    Unmakable {
        /// Host and port.
        server: String,
        /// What the server said.
        reason: String,
    },
    /// Nobody has published anything there.
    #[error(
        "there is no JetStream stream {STREAM} at {server}; the role relay of `counterfoil serve` makes it"
    )]
    NoStream {
        /// Host and port.
        server: String,
    },
    /// The server will not let anybody consume that.
    #[error("nothing can be consumed on the subject {subject:?}: {reason}")]
    NoConsumer {
        /// The subject.
        subject: String,
        /// What the server said.
        reason: String,
    },
    /// JetStream did not acknowledge an event. Whether it has it is not known.
    #[error("JetStream did not acknowledge the event at position {position}: {reason}")]
    NotAcknowledged {
        /// Its place in the log.
        position: Position,
        /// What went wrong.
        reason: String,
    },
    /// The stream is gone.
    #[error("the JetStream stream {STREAM} is gone")]
    StreamGone,
    /// Somebody else wrote to the stream, or what was sent before got lost. Nothing was added.
    #[error("the JetStream stream {STREAM} does not end with the event before position {position}")]
    OutOfOrder {
        /// The place in the log of the event that was not taken.
        position: Position,
    },
    /// An event does not fit into a message of this server.
    #[error(
        "the event at position {position} has {bytes} bytes, and NATS takes {max} in a message: raise `max_payload` in its configuration to 2MB"
    )]
    TooLarge {
        /// Its place in the log.
        position: Position,
        /// How large it is.
        bytes: usize,
        /// The most that the server takes.
        max: usize,
    },
}

impl NatsError {
    /// Whether the setting that names the server is at fault, or the server's own configuration: waiting does
    /// not help.
    pub fn is_of_configuration(&self) -> bool {
        match self {
            Self::NotNats { .. }
            | Self::Refused { .. }
            | Self::Tls { .. }
            | Self::NoJetStream { .. }
            | Self::UnfitStream { .. }
            | Self::Unmakable { .. }
            | Self::NoStream { .. }
            | Self::NoConsumer { .. }
            | Self::TooLarge { .. } => true,
            Self::Away { .. }
            | Self::Objects { .. }
            | Self::NotAcknowledged { .. }
            | Self::StreamGone
            | Self::OutOfOrder { .. } => false,
        }
    }
}

/// The relay cannot go on for now. It begins again at its checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// NATS is in the way.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint or the lease cannot be read or written.
    #[error("the relay's checkpoint is unavailable while {doing}: {source}")]
    Progress {
        /// What was being done.
        doing: &'static str,
        /// What the engine said.
        source: sqlx::Error,
    },
    /// The column does not hold a position, or cannot.
    #[error("the relay's checkpoint cannot be kept: {0}")]
    Column(#[from] ColumnError),
    /// Another process has the lease by now, or an operator moved the checkpoint. Nothing was written.
    #[error("the relay's lease {fence} is over")]
    Fenced {
        /// The number of the lease that was shown.
        fence: i64,
    },
}

impl Error {
    /// What is in the way, in a word: the log of an outage says it once, however often it is tried.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nats(error) => match error {
                NatsError::NotNats { .. } => "not NATS",
                NatsError::Refused { .. } | NatsError::Objects { .. } => "credentials",
                NatsError::Tls { .. } => "TLS",
                NatsError::NoJetStream { .. } => "no JetStream",
                NatsError::UnfitStream { .. }
                | NatsError::Unmakable { .. }
                | NatsError::NoStream { .. }
                | NatsError::NoConsumer { .. } => "the stream",
                NatsError::TooLarge { .. } => "too large",
                NatsError::Away { .. }
                | NatsError::NotAcknowledged { .. }
                | NatsError::StreamGone
                | NatsError::OutOfOrder { .. } => "NATS is away",
            },
            Self::Store(_) => "the log",
            Self::Progress { .. } | Self::Column(_) => "the checkpoint",
            Self::Fenced { .. } => "the lease",
        }
    }
}
