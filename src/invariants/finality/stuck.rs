//! The steps of a checkout that a person was told of, until the checkout says that they are done: what was
//! once in the hands of a person does not explain what stops later.

use std::collections::BTreeSet;

use events::checkout::CheckoutEvent;

#[derive(Debug, Default)]
pub(super) struct Stuck {
    steps: BTreeSet<String>,
}

impl Stuck {
    /// Whether a person has to look at something still.
    pub(super) fn is_open(&self) -> bool {
        !self.steps.is_empty()
    }

    /// A person was told.
    pub(super) fn raise(&mut self, step: &str) {
        self.steps.insert(step.to_owned());
    }

    /// Takes out the steps, by the names that the saga gives them, that are done or given up.
    pub(super) fn settle(&mut self, event: &CheckoutEvent) {
        let done: &[&str] = match event {
            CheckoutEvent::StockReserved(_) => &["reserve"],
            CheckoutEvent::PaymentAuthorized(_) => &["request_payment"],
            CheckoutEvent::OrderConfirmed(_) => &["confirm"],
            CheckoutEvent::PaymentCaptured(_) => &["capture"],
            CheckoutEvent::StockReleased(_) => &["release"],
            CheckoutEvent::PaymentUndone(_) => &["refund", "undo_payment"],
            CheckoutEvent::CompensationStarted(_)
            | CheckoutEvent::Completed(_)
            | CheckoutEvent::DispatchCompleted(_)
            | CheckoutEvent::Compensated(_) => return self.steps.clear(),
            CheckoutEvent::Started(_)
            | CheckoutEvent::DispatchStarted(_)
            | CheckoutEvent::DeadlinePassed(_)
            | CheckoutEvent::AttentionRequired(_) => &[],
        };
        self.steps.retain(|step| !done.contains(&step.as_str()));
    }
}
