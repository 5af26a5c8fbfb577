//! Rows and events as a shop writes them: 300 bytes of payload, and the envelope that every event has.

use bytes::Bytes;
use event_store::NewEvent;
use events::{Actor, Metadata};
use platform::clock::Clock;
use uuid::Uuid;

/// How large a payload is, in bytes.
const PAYLOAD: usize = 300;

/// Its wire name.
pub(super) const NAME: &str = "OrderPlaced";

/// An event that nobody wrote before.
pub(super) fn event() -> NewEvent {
    let id = Uuid::now_v7();
    let payload = format!("{{\"order_id\":\"{id}\",\"filling\":\"\"}}");
    let filling = "x".repeat(PAYLOAD.saturating_sub(payload.len()));
    let payload = payload.replace("\"\"", &format!("\"{filling}\""));
    let metadata = Metadata {
        occurred_at: Clock::system().now(),
        correlation_id: id,
        causation_id: id,
        command_id: id,
        request_digest: None,
        actor: Actor::Client,
        traceparent: None,
    };
    // Ids of real events follow from their commands and are in no order.
    NewEvent {
        id: Uuid::new_v4(),
        name: NAME.to_owned(),
        version: 1,
        payload: Bytes::from(payload),
        metadata,
    }
}
