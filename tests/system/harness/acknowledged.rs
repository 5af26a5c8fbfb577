//! What clients were told: for each command that was acknowledged where it is in the log. At the end
//! the log is held against it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::Answer;

/// What command ids are derived in. It never changes: an old key would become another command.
const COMMANDS: Uuid = uuid!("6b0f4b0e-2f0a-5d1c-9c3d-6f1c5a1e7d01");

/// A list that all clients of a test write to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged(Arc<Mutex<Vec<Value>>>);

impl Acknowledged {
    /// Keeps that a command on a stream was acknowledged.
    pub(crate) fn keep(&self, stream: &str, key: &str, answer: &Answer) {
        let position: u64 = answer.header("counterfoil-position").parse().unwrap();
        let command_id = Uuid::new_v5(&COMMANDS, key.as_bytes());
        let entry = json!({"stream": stream, "position": position, "command_id": command_id});
        self.0.lock().unwrap().push(entry);
    }

    /// Keeps that a checkout was acknowledged, and gives its order's id.
    pub(crate) fn keep_checkout(&self, key: &str, answer: &Answer) -> String {
        let order_id = answer.body["order_id"].as_str().unwrap().to_owned();
        self.keep(&format!("order-{order_id}"), key, answer);
        order_id
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// All of it, one JSON object a line.
    pub(super) fn to_lines(&self) -> String {
        let lines: Vec<String> = self.0.lock().unwrap().iter().map(Value::to_string).collect();
        lines.join("\n")
    }
}
