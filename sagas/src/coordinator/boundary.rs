//! The places between two steps at which the coordinator may be killed. Tests kill the process at each of
//! them, or let a simulated coordinator stop there as if it had been.

use std::fmt;

/// An event is taken up.
pub(super) const EVENT_TAKEN: &str = "saga.event_taken";
/// What the saga made of it is in its stream; nothing is done about it yet.
pub(super) const EVENT_APPENDED: &str = "saga.event_appended";
/// One of several SKUs is held.
pub(super) const SKU_RESERVED: &str = "saga.sku_reserved";
/// A command was carried out; what follows from it is not written.
pub(super) const INTENT_PERFORMED: &str = "saga.intent_performed";
/// The provider is about to be called.
pub(super) const BEFORE_PROVIDER_CALL: &str = "saga.before_provider_call";
/// The provider has answered; the answer is not recorded.
pub(super) const AFTER_PROVIDER_CALL: &str = "saga.after_provider_call";
/// The answer is recorded.
pub(super) const ANSWER_RECORDED: &str = "saga.answer_recorded";
/// A delivery is in the log; the provider is not told.
pub(crate) const WEBHOOK_RECEIVED: &str = "saga.webhook_received";
/// What a delivery says is recorded with its payment; the delivery is not marked as applied.
pub(super) const WEBHOOK_RECORDED: &str = "saga.webhook_recorded";
/// Something is handled; the checkpoint is about to be saved.
pub(super) const BEFORE_CHECKPOINT: &str = "saga.before_checkpoint";
/// The checkpoint is written; its transaction is not committed.
pub(super) const CHECKPOINT_UNCOMMITTED: &str = "saga.checkpoint_uncommitted";
/// The checkpoint is saved.
pub(super) const AFTER_CHECKPOINT: &str = "saga.after_checkpoint";

/// All of them, in the order of a checkout.
pub const BOUNDARIES: [&str; 12] = [
    EVENT_TAKEN,
    EVENT_APPENDED,
    SKU_RESERVED,
    INTENT_PERFORMED,
    BEFORE_PROVIDER_CALL,
    AFTER_PROVIDER_CALL,
    ANSWER_RECORDED,
    WEBHOOK_RECEIVED,
    WEBHOOK_RECORDED,
    BEFORE_CHECKPOINT,
    CHECKPOINT_UNCOMMITTED,
    AFTER_CHECKPOINT,
];

/// Stops a simulated coordinator at a boundary, as if its process had been killed there.
pub trait Interrupt: Send + Sync + fmt::Debug + 'static {
    /// Asked at every boundary that is reached; `true` ends the coordinator there.
    fn interrupts(&self, boundary: &'static str) -> bool;
}
