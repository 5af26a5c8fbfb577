//! The names of a checkout's steps. The ids of commands and of the saga's own events follow from the order
//! and the step, so that **a step that is done twice is the same step**.

use events::{
    DomainEvent,
    checkout::CheckoutEvent,
    ids::{CaptureId, OrderId, RefundId, Sku},
};
use uuid::Uuid;

/// Something that the saga does once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// Hold units of a SKU.
    Reserve(&'a Sku),
    /// Make the hold on a SKU a sale.
    Commit(&'a Sku),
    /// Give up the hold on a SKU.
    Release(&'a Sku),
    /// Book out what is held of a SKU.
    Dispatch(&'a Sku),
    /// Ask for the money to be held.
    RequestPayment,
    /// Take the money. A capture is named after what was captured before it, in minor units.
    Capture {
        /// Minor units.
        captured_before: i64,
    },
    /// Give the held money up.
    Void,
    /// Give taken money back. A refund is named after what was spoken for before it, and after how many
    /// refunds the provider had refused for good.
    Refund {
        /// Minor units that were refunded or being refunded.
        refunded_before: i64,
        /// Refused refunds.
        failures: usize,
    },
    /// Confirm the order.
    Confirm,
    /// Reject the order.
    Reject,
    /// Record that the goods have left.
    RecordDispatch,
    /// Complete the order.
    Complete,
}

impl Step<'_> {
    /// The id of the command that this step of an order's checkout sends.
    pub fn command_id(&self, order_id: OrderId) -> Uuid {
        Uuid::new_v5(&order_id.0, self.name().as_bytes())
    }

    /// The id of the capture that this step of an order's checkout asks for.
    pub fn capture_id(&self, order_id: OrderId) -> CaptureId {
        CaptureId::derived(order_id.0, &self.name())
    }

    /// The id of the refund that this step of an order's checkout asks for.
    pub fn refund_id(&self, order_id: OrderId) -> RefundId {
        RefundId::derived(order_id.0, &self.name())
    }

    fn name(&self) -> String {
        match self {
            Self::Reserve(sku) => format!("checkout:reserve:{sku}"),
            Self::Commit(sku) => format!("checkout:commit:{sku}"),
            Self::Release(sku) => format!("checkout:release:{sku}"),
            Self::Dispatch(sku) => format!("checkout:dispatch:{sku}"),
            Self::RequestPayment => "checkout:request_payment".to_owned(),
            Self::Capture { captured_before } => format!("checkout:capture:{captured_before}"),
            Self::Void => "checkout:void".to_owned(),
            Self::Refund { refunded_before, failures } => {
                format!("checkout:refund:{refunded_before}:{failures}")
            }
            Self::Confirm => "checkout:confirm".to_owned(),
            Self::Reject => "checkout:reject".to_owned(),
            Self::RecordDispatch => "checkout:record_dispatch".to_owned(),
            Self::Complete => "checkout:complete".to_owned(),
        }
    }
}

/// The id of an event of the saga's own. A checkout writes each at most once; it asks for attention at
/// most once for each thing that it cannot do.
pub fn event_id(order_id: OrderId, event: &CheckoutEvent) -> Uuid {
    let name = match event {
        CheckoutEvent::AttentionRequired(required) => {
            format!("{}:{}", event.wire_name(), required.step)
        }
        CheckoutEvent::Started(_)
        | CheckoutEvent::StockReserved(_)
        | CheckoutEvent::PaymentAuthorized(_)
        | CheckoutEvent::OrderConfirmed(_)
        | CheckoutEvent::PaymentCaptured(_)
        | CheckoutEvent::Completed(_)
        | CheckoutEvent::DispatchStarted(_)
        | CheckoutEvent::DispatchCompleted(_)
        | CheckoutEvent::CompensationStarted(_)
        | CheckoutEvent::StockReleased(_)
        | CheckoutEvent::PaymentUndone(_)
        | CheckoutEvent::Compensated(_)
        | CheckoutEvent::DeadlinePassed(_) => event.wire_name().to_owned(),
    };
    Uuid::new_v5(&order_id.0, name.as_bytes())
}
