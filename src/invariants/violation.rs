//! Every way in which a history can break an invariant, with the ids and numbers that show it.

use chrono::{DateTime, Utc};
use event_store::Position;
use events::{
    Currency,
    ids::{CaptureId, OrderId, PaymentId, RefundId, ReservationId, Sku},
};
use serde::Serialize;
use uuid::Uuid;

use super::Invariant;

/// An invariant is broken. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "violation", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each message says what the numbers are")]
pub enum Violation {
    #[error("{sku} at {position}: {held} held and {dispatched} dispatched of {received} received")]
    Oversold { sku: Sku, position: i64, received: i128, held: i128, dispatched: i128 },
    #[error("{sku} at {position}: {quantity} of hold {reservation_id} end, but it has {held}")]
    HoldEndsUnheld { sku: Sku, position: i64, reservation_id: ReservationId, quantity: i64, held: i128 },
    #[error("payment {payment_id}: capture {capture_id} was made {times} times")]
    CapturedTwice { payment_id: PaymentId, capture_id: CaptureId, times: usize },
    #[error("payment {payment_id}: the provider made capture {capture_id} of {amount} unasked")]
    CapturedUnasked { payment_id: PaymentId, capture_id: CaptureId, amount: i64 },
    #[error("payment {payment_id}: {captured} captured of an order over {ordered}")]
    CapturedMoreThanOrdered { payment_id: PaymentId, captured: i128, ordered: i64 },
    #[error("payment {payment_id}: {captured} captured of {authorized} authorized")]
    CapturedMoreThanAuthorized { payment_id: PaymentId, captured: i128, authorized: i128 },
    #[error("payment {payment_id}: {refunded} refunded of {captured} captured")]
    RefundedMoreThanCaptured { payment_id: PaymentId, refunded: i128, captured: i128 },
    #[error("payment {payment_id}: refund {refund_id} was made twice")]
    RefundedTwice { payment_id: PaymentId, refund_id: RefundId },
    #[error("payment {payment_id} in {expected} moved money in {found}")]
    MovedInOtherCurrency { payment_id: PaymentId, expected: Currency, found: Currency },
    #[error("a client was told that position {position} is in {stream}; it is not there")]
    AcknowledgedAndLost { stream: String, position: Position },
    #[error("a client was told that command {command_id} was carried out on {stream}; it was not")]
    CommandLost { stream: String, command_id: Uuid },
    #[error("command {command_id} was carried out at {first} and again at {again} of {stream}")]
    CarriedOutTwice { command_id: Uuid, first: Position, again: Position, stream: String },
    #[error("event {event_id} at {position} does not have the id that follows from command {command_id}")]
    IdNotDerived { event_id: Uuid, position: Position, command_id: Uuid },
    #[error("order {order_id} is {order} with its checkout {checkout}, and its deadline was {deadline:?}")]
    Unfinished {
        order_id: OrderId,
        order: &'static str,
        checkout: &'static str,
        deadline: Option<DateTime<Utc>>,
    },
    #[error("order {order_id} is {order}, but holds {units} units of stock")]
    HoldsStock { order_id: OrderId, order: &'static str, units: i128 },
    #[error("order {order_id} is {order}, but {committed} units of {sku} are kept for it and not {ordered}")]
    NotKept { order_id: OrderId, order: &'static str, sku: Sku, ordered: i128, committed: i128 },
    #[error("order {order_id} is {order}, but {kept} of the customer's money is kept and {held} held")]
    HoldsMoney { order_id: OrderId, order: &'static str, kept: i128, held: i128 },
    #[error("order {order_id} is {order}, but {captured} is captured of {total}")]
    NotPaid { order_id: OrderId, order: &'static str, captured: i128, total: i64 },
    #[error("the postings of {transaction} at {position} come to {sum} {currency}")]
    Unbalanced { transaction: &'static str, position: i64, currency: Currency, sum: i128 },
    #[error("all postings in {currency} come to {sum}")]
    UnbalancedInAll { currency: Currency, sum: i128 },
    #[error("payment {payment_id}: the clearing account has {ours}, the provider {theirs}, for no reason")]
    ClearingDiffers { payment_id: PaymentId, ours: i128, theirs: i128 },
    #[error("payment {payment_id}: we count {ours} as held, the provider {theirs}, for no reason")]
    HeldDiffers { payment_id: PaymentId, ours: i128, theirs: i128 },
    #[error("payment {payment_id}: the provider moved {theirs} for it, and the log does not know it")]
    UnknownPayment { payment_id: PaymentId, theirs: i128 },
    #[error("payment {payment_id}: the clearing account has {ours}, and the provider does not know it")]
    UnknownToProvider { payment_id: PaymentId, ours: i128 },
    #[error("{projection} at {position} differs from one built from scratch in {row}")]
    ReadModelDiffers { projection: String, position: Position, row: String },
    #[error("the snapshot of {stream} is not what its history comes to: empty snapshots.states")]
    SnapshotDiffers { stream: String },
    #[error("after position {before} comes {after}")]
    PositionGap { before: Position, after: Position },
    #[error("{stream} at {position}: revision {found} where {expected} comes next")]
    RevisionGap { stream: String, position: Position, expected: u64, found: u64 },
    #[error("event {event_id} is in the log twice, the second time at {position}")]
    EventTwice { event_id: Uuid, position: Position },
    #[error("the log ends at {last}, but its head is {head}")]
    HeadDiffers { last: Position, head: Position },
    #[error("subscriber {subscriber} was given {after} after {before}")]
    SubscriberSkipped { subscriber: String, before: Position, after: Position },
    #[error("subscriber {subscriber} was given nothing after {last}, and should have come to {upto}")]
    SubscriberStopped { subscriber: String, last: Position, upto: Position },
}

impl Violation {
    /// The invariant that is broken.
    pub const fn invariant(&self) -> Invariant {
        match self {
            Self::Oversold { .. } | Self::HoldEndsUnheld { .. } => Invariant::I1,
            Self::CapturedTwice { .. }
            | Self::CapturedUnasked { .. }
            | Self::CapturedMoreThanOrdered { .. } => Invariant::I2,
            Self::CapturedMoreThanAuthorized { .. }
            | Self::RefundedMoreThanCaptured { .. }
            | Self::RefundedTwice { .. }
            | Self::MovedInOtherCurrency { .. } => Invariant::I3,
            Self::AcknowledgedAndLost { .. }
            | Self::CommandLost { .. }
            | Self::CarriedOutTwice { .. }
            | Self::IdNotDerived { .. } => Invariant::I4,
            Self::Unfinished { .. }
            | Self::HoldsStock { .. }
            | Self::NotKept { .. }
            | Self::HoldsMoney { .. }
            | Self::NotPaid { .. } => Invariant::I5,
            Self::Unbalanced { .. } | Self::UnbalancedInAll { .. } => Invariant::I6,
            Self::ClearingDiffers { .. }
            | Self::HeldDiffers { .. }
            | Self::UnknownPayment { .. }
            | Self::UnknownToProvider { .. } => Invariant::I7,
            Self::ReadModelDiffers { .. } | Self::SnapshotDiffers { .. } => Invariant::I8,
            Self::PositionGap { .. }
            | Self::RevisionGap { .. }
            | Self::EventTwice { .. }
            | Self::HeadDiffers { .. }
            | Self::SubscriberSkipped { .. }
            | Self::SubscriberStopped { .. } => Invariant::I9,
        }
    }
}
