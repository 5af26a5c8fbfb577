//! The EventStoreDB server that tests append to: the one that `EVENTSTOREDB_URL` names, or what stands in for
//! one. A server that was given is used again and again, so that whoever wants an empty log gets a namespace in
//! it that nobody has used.

use eventstoredb_stand_in::{Setup, StandIn};
use uuid::Uuid;

/// A server; the stand-in runs for as long as this is kept.
#[derive(Debug)]
pub(crate) struct EventStoreServer {
    stand_in: Option<StandIn>,
    url: String,
}

impl EventStoreServer {
    /// The one that was given, or a stand-in that nobody else uses.
    pub(crate) fn given_or_stand_in() -> Self {
        if let Ok(url) = std::env::var("EVENTSTOREDB_URL") {
            return Self { stand_in: None, url };
        }
        let stand_in = StandIn::start(Setup::default()).unwrap();
        let url = stand_in.url();
        Self { stand_in: Some(stand_in), url }
    }

    /// The URL of an empty log: the whole server where it is this test's own, and otherwise a corner of it.
    pub(crate) fn empty_log(&self) -> String {
        if self.stand_in.is_some() { self.url.clone() } else { self.corner() }
    }

    /// The URL of another log in this server, empty, beside all the others.
    pub(crate) fn corner(&self) -> String {
        let joined = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{joined}namespace=t{}", self.url, Uuid::new_v4().simple())
    }
}
