//! What clients are told when a server is at fault or cannot answer now. A test that allows for some of it says of
//! which kind.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::Answer;

/// The status, the type of the problem, and whether the answer says when to come again.
type Kind = (u16, String, bool);

/// How often servers answered so, for all clients who share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<BTreeMap<Kind, usize>>>);

impl Faults {
    pub(super) fn note(&self, answer: &Answer) {
        if answer.status.is_server_error() {
            let problem = answer.body["type"].as_str().unwrap_or_default().to_owned();
            let says_when = !answer.header("retry-after").is_empty();
            *self.0.lock().unwrap().entry((answer.status.as_u16(), problem, says_when)).or_default() += 1;
        }
    }

    /// All of them.
    pub(crate) fn counts(&self) -> BTreeMap<Kind, usize> {
        self.0.lock().unwrap().clone()
    }
}
