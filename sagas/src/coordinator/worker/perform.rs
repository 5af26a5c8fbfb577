//! Performing intents: each is one command for each stream that it concerns, under ids that follow from the
//! order and the step. What the commands answer is what the checkout learns next.

use chrono::{DateTime, Utc};
use domain::{inventory, order, payment};
use events::{
    Actor, Money,
    checkout::Item,
    ids::{OrderId, PaymentId, ReservationId, Sku},
    order::RejectionReason,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use write_side::{CommandContext, HandleError, Handled};

use super::{Job, Worker};
use crate::{
    checkout::{Fact, Intent, Step},
    coordinator::{
        boundary,
        error::{Error, refusal},
        saga::{ACTOR, Cause, Saga},
    },
    payment::{Undo, undo},
};

/// How many SKUs of one order are worked on at once.
const SKUS_AT_ONCE: usize = 32;

type StockAnswer = Result<Handled, HandleError<inventory::Refusal>>;

impl Worker {
    /// Does what is intended, or finds it done. `None` when what follows will be told by an event.
    pub(super) async fn perform(
        &self,
        saga: &Saga,
        intent: &Intent,
        cause: &Cause,
        job: &Job,
    ) -> Result<Option<Fact>, Error> {
        let step = Performing { worker: self, saga, cause };
        match intent {
            Intent::ReserveStock { items, expires_at } => step.reserve(items, *expires_at).await.map(Some),
            Intent::RequestPayment { amount, method } => step.request_payment(*amount, method).await,
            Intent::ConfirmOrder => step.confirm().await.map(Some),
            Intent::CapturePayment { amount } => step.capture(*amount).await,
            Intent::CommitStock { skus } => step.commit(skus).await.map(Some),
            Intent::RecordDispatch => step.record_dispatch().await.map(Some),
            Intent::LookForDispatch => step.look_for_dispatch().await,
            Intent::DispatchStock { skus } => step.dispatch(skus).await.map(Some),
            Intent::CompleteOrder => step.complete().await.map(Some),
            Intent::UndoPayment => step.undo_payment(matches!(job, Job::Wake)).await,
            Intent::ReleaseStock { skus } => step.release(skus).await.map(Some),
            Intent::RejectOrder { reason } => step.reject(reason).await.map(Some),
        }
    }
}

struct Performing<'a> {
    worker: &'a Worker,
    saga: &'a Saga,
    cause: &'a Cause,
}

impl Performing<'_> {
    fn order_id(&self) -> OrderId {
        self.saga.order_id
    }

    fn context(&self, step: &Step<'_>) -> CommandContext {
        CommandContext {
            command_id: step.command_id(self.order_id()),
            correlation_id: self.cause.correlation_id,
            causation_id: self.cause.event_id,
            actor: Actor::Saga(ACTOR.to_owned()),
            occurred_at: self.saga.imported_at().unwrap_or_else(|| self.worker.clock.now()),
            request_digest: None,
            traceparent: self.cause.traceparent.clone(),
            expected_revision: None,
        }
    }

    async fn stock(&self, sku: &Sku, step: Step<'_>, command: inventory::Command) -> StockAnswer {
        self.worker.commands.inventory.handle(sku.as_str(), command, self.context(&step)).await
    }

    async fn order(
        &self,
        step: &Step<'_>,
        command: order::Command,
    ) -> Result<Handled, HandleError<order::Refusal>> {
        self.worker.commands.order.handle(&self.order_id().to_string(), command, self.context(step)).await
    }

    async fn payment(
        &self,
        step: &Step<'_>,
        command: payment::Command,
    ) -> Result<Handled, HandleError<payment::Refusal>> {
        self.worker.commands.payment.handle(&self.order_id().to_string(), command, self.context(step)).await
    }

    /// One SKU after the other, in SKU order: of two orders that want the last units of the same SKUs, the
    /// one that gets the first gets all. History has no such contention, and goes faster.
    async fn reserve(&self, items: &[Item], expires_at: DateTime<Utc>) -> Result<Fact, Error> {
        let reservation_id = ReservationId::from(self.order_id());
        let at_once = if self.saga.imported_at().is_some() { SKUS_AT_ONCE } else { 1 };
        let mut sent: Vec<BoxFuture<'_, StockAnswer>> = Vec::with_capacity(items.len());
        for Item { sku, quantity } in items {
            let (named, quantity) = (sku.clone(), *quantity);
            let command = inventory::Command::Reserve { sku: named, reservation_id, quantity, expires_at };
            sent.push(self.stock(sku, Step::Reserve(sku), command).boxed());
        }
        let mut answers = stream::iter(sent).buffered(at_once);
        while let Some(answer) = answers.next().await {
            let doing = "reserving stock";
            let refused = answer.map_or_else(|error| refusal(doing, error).map(Some), |_| Ok(None))?;
            match refused {
                None => self.worker.boundary(boundary::SKU_RESERVED)?,
                Some(inventory::Refusal::InsufficientStock { sku, requested, available }) => {
                    return Ok(Fact::StockShort { sku, requested, available });
                }
                Some(inventory::Refusal::ReservedOtherwise { .. }) => return Ok(Fact::HoldLost),
                Some(other) => return Err(Error::refused(doing, &other)),
            }
        }
        Ok(Fact::StockReserved)
    }

    async fn commit(&self, skus: &[Sku]) -> Result<Fact, Error> {
        let reservation_id = ReservationId::from(self.order_id());
        let command = inventory::Command::Commit { reservation_id };
        match self.for_each(skus, Step::Commit, &command, "committing stock").await? {
            None => Ok(Fact::StockCommitted),
            Some(inventory::Refusal::NoSuchReservation { .. }) => Ok(Fact::HoldLost),
            Some(other) => Err(Error::refused("committing stock", &other)),
        }
    }

    async fn release(&self, skus: &[Sku]) -> Result<Fact, Error> {
        let reservation_id = ReservationId::from(self.order_id());
        let command = inventory::Command::Release { reservation_id };
        match self.for_each(skus, Step::Release, &command, "releasing stock").await? {
            None => Ok(Fact::StockReleased),
            Some(other) => Err(Error::refused("releasing stock", &other)),
        }
    }

    async fn dispatch(&self, skus: &[Sku]) -> Result<Fact, Error> {
        let reservation_id = ReservationId::from(self.order_id());
        let command = inventory::Command::Dispatch { reservation_id };
        match self.for_each(skus, Step::Dispatch, &command, "dispatching stock").await? {
            None => Ok(Fact::StockDispatched),
            // The goods have left, but the books say that they were not held.
            Some(inventory::Refusal::NoSuchReservation { .. }) => Ok(Fact::Stuck { step: "dispatch" }),
            Some(other) => Err(Error::refused("dispatching stock", &other)),
        }
    }

    /// Sends the same command for each SKU, several at once, and answers the first refusal in SKU order.
    async fn for_each<'s>(
        &self,
        skus: &'s [Sku],
        step: fn(&'s Sku) -> Step<'s>,
        command: &inventory::Command,
        doing: &'static str,
    ) -> Result<Option<inventory::Refusal>, Error> {
        let mut sent: Vec<BoxFuture<'_, StockAnswer>> = Vec::with_capacity(skus.len());
        for sku in skus {
            sent.push(self.stock(sku, step(sku), command.clone()).boxed());
        }
        let answers: Vec<StockAnswer> = stream::iter(sent).buffered(SKUS_AT_ONCE).collect().await;
        let mut first = None;
        for answer in answers {
            if let Err(error) = answer {
                let refused = refusal(doing, error)?;
                first.get_or_insert(refused);
            }
        }
        Ok(first)
    }

    async fn request_payment(&self, amount: Money, method: &str) -> Result<Option<Fact>, Error> {
        let doing = "requesting payment";
        let order_id = self.order_id();
        let payment_id = PaymentId::from(order_id);
        let method = method.to_owned();
        let command = payment::Command::Request { payment_id, order_id, amount, method };
        match self.payment(&Step::RequestPayment, command).await {
            Ok(handled) if !handled.replayed => return Ok(None),
            // It was asked for before, and what came of it may have passed us by.
            Ok(_) => {}
            Err(error) => return Err(Error::refused(doing, &refusal(doing, error)?)),
        }
        let (payment, _) = self.worker.commands.payment.load(&order_id.to_string()).await?;
        let Some(account) = payment.account() else { return Ok(None) };
        if account.is_declined() {
            return Ok(Some(Fact::PaymentDeclined { code: "declined".to_owned() }));
        }
        Ok(account.held().map(|amount| Fact::PaymentAuthorized { amount }))
    }

    async fn capture(&self, amount: Money) -> Result<Option<Fact>, Error> {
        let doing = "capturing";
        let capture_id = Step::Capture { captured_before: 0 }.capture_id(self.order_id());
        match self.capture_rest(amount, 0).await {
            Ok(handled) if !handled.replayed => return Ok(None),
            // It was asked for before, and what came of it may have passed us by.
            Ok(_) => {}
            Err(error) => match refusal(doing, error)? {
                // Somebody else has captured a part, or is about to.
                payment::Refusal::CaptureExceedsAuthorization { .. } => {}
                other => return Ok(Some(Fact::CaptureFailed { code: code(&other).to_owned() })),
            },
        }
        let (payment, _) = self.worker.commands.payment.load(&self.order_id().to_string()).await?;
        let Some(account) = payment.account() else { return Ok(None) };
        if account.captured().covers(amount) {
            return Ok(Some(Fact::PaymentCaptured { in_all: account.captured() }));
        }
        if !payment.open_operations().is_empty() {
            return Ok(None);
        }
        if account.has_failed_capture(capture_id) {
            return Ok(Some(Fact::CaptureFailed { code: "refused".to_owned() }));
        }
        let Err(error) = self.capture_rest(amount, account.captured().amount).await else { return Ok(None) };
        Ok(Some(Fact::CaptureFailed { code: code(&refusal(doing, error)?).to_owned() }))
    }

    async fn capture_rest(
        &self,
        amount: Money,
        captured_before: i64,
    ) -> Result<Handled, HandleError<payment::Refusal>> {
        let step = Step::Capture { captured_before };
        let rest = Money::new(amount.amount.saturating_sub(captured_before), amount.currency);
        let capture_id = step.capture_id(self.order_id());
        self.payment(&step, payment::Command::Capture { capture_id, amount: rest }).await
    }

    async fn undo_payment(&self, again: bool) -> Result<Option<Fact>, Error> {
        let doing = "undoing the payment";
        let order_id = self.order_id();
        let (payment, _) = self.worker.commands.payment.load(&order_id.to_string()).await?;
        let (command, step) = match undo(&payment, order_id, again) {
            Undo::Done => return Ok(Some(Fact::PaymentUndone)),
            Undo::Wait => return Ok(None),
            Undo::Refused => return Ok(Some(Fact::Stuck { step: "refund" })),
            Undo::Send { command, step } => (command, step),
        };
        let Err(error) = self.payment(&step, command).await else { return Ok(None) };
        match refusal(doing, error)? {
            // It moved while we looked. The event that says so makes us look again.
            payment::Refusal::VoidAfterCapture { .. } | payment::Refusal::RefundExceedsCaptured { .. } => {
                Ok(None)
            }
            other => Err(Error::refused(doing, &other)),
        }
    }

    async fn confirm(&self) -> Result<Fact, Error> {
        let doing = "confirming the order";
        match self.order(&Step::Confirm, order::Command::Confirm).await {
            Ok(_) => Ok(Fact::OrderConfirmed),
            Err(error) => ended_otherwise(doing, refusal(doing, error)?),
        }
    }

    async fn record_dispatch(&self) -> Result<Fact, Error> {
        let doing = "recording the dispatch";
        let context = self.context(&Step::RecordDispatch);
        match self.worker.commands.record_dispatch(self.order_id(), context).await {
            Ok(_) => Ok(Fact::DispatchRecorded),
            Err(error) => ended_otherwise(doing, refusal(doing, error)?),
        }
    }

    async fn look_for_dispatch(&self) -> Result<Option<Fact>, Error> {
        let (order, _) = self.worker.commands.order.load(&self.order_id().to_string()).await?;
        Ok(match order {
            order::Order::Dispatched { .. } | order::Order::Completed { .. } => Some(Fact::DispatchRecorded),
            order::Order::Cancelled { .. } => Some(Fact::OrderCancelled),
            order::Order::Rejected { reason, .. } => Some(Fact::OrderRejected { reason }),
            order::Order::Unplaced | order::Order::Placed(_) | order::Order::Confirmed { .. } => None,
        })
    }

    async fn complete(&self) -> Result<Fact, Error> {
        let doing = "completing the order";
        match self.order(&Step::Complete, order::Command::Complete).await {
            Ok(_) => Ok(Fact::OrderCompleted),
            Err(error) => Err(Error::refused(doing, &refusal(doing, error)?)),
        }
    }

    async fn reject(&self, reason: &RejectionReason) -> Result<Fact, Error> {
        let doing = "rejecting the order";
        let command = order::Command::Reject { reason: reason.clone() };
        match self.order(&Step::Reject, command).await {
            Ok(_) => Ok(Fact::OrderRejected { reason: reason.clone() }),
            Err(error) => match refusal(doing, error)? {
                // No order is dispatched before its money is taken; if one was, only a person can help.
                order::Refusal::AlreadyDispatched => Ok(Fact::Stuck { step: "reject" }),
                other => ended_otherwise(doing, other),
            },
        }
    }
}

/// What a refusal says about how the order has ended instead.
fn ended_otherwise(doing: &'static str, refused: order::Refusal) -> Result<Fact, Error> {
    match refused {
        order::Refusal::AlreadyCancelled { .. } => Ok(Fact::OrderCancelled),
        order::Refusal::AlreadyRejected { reason } => Ok(Fact::OrderRejected { reason }),
        other => Err(Error::refused(doing, &other)),
    }
}

/// Why a capture could not even be asked for, as a code for the order.
fn code(refusal: &payment::Refusal) -> &'static str {
    match refusal {
        payment::Refusal::NotRequested => "not_requested",
        payment::Refusal::NotAuthorized => "not_authorized",
        payment::Refusal::Declined => "declined",
        payment::Refusal::GivenUp => "given_up",
        payment::Refusal::CaptureExceedsAuthorization { .. } => "exceeds_authorization",
        payment::Refusal::RequestedOtherwise { .. }
        | payment::Refusal::AmountNotPositive { .. }
        | payment::Refusal::CurrencyDiffers { .. }
        | payment::Refusal::CaptureDiffers { .. }
        | payment::Refusal::VoidAfterCapture { .. }
        | payment::Refusal::RefundExceedsCaptured { .. }
        | payment::Refusal::RefundDiffers { .. }
        | payment::Refusal::NeverAsked { .. } => "refused",
    }
}
