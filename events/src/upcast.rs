//! Old versions of events, brought to the next one, step by step. A step is a pure function of the
//! JSON that was written; it is never edited once a release has written the newer version.

use serde_json::Value;

use crate::order;

/// Takes a payload of `name` from version `from` to `from + 1`; `None` where there is no such step.
pub(crate) fn step(name: &str, from: u16, payload: Value) -> Option<Result<Value, serde_json::Error>> {
    match (name, from) {
        ("OrderPlaced", 1) => Some(order::placed_v1_to_v2(payload)),
        #[cfg(feature = "next-release")]
        ("OrderPlaced", 2) => Some(crate::next_release::placed_v2_to_v3(payload)),
        _ => None,
    }
}
