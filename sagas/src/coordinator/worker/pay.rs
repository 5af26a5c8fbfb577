//! A step of the payment process: whatever call of a payment is open is made, or made again under the same
//! key, and its answer recorded. **The intent of every call is in the log before it is made**, and no unknown
//! outcome is a failure.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    Decider,
    payment::{Command, OpenOperation, Payment, Refusal},
};
use events::{
    Actor,
    ids::{OrderId, PaymentId},
    payment::Operation,
};
use uuid::Uuid;
use write_side::CommandContext;

use super::{Job, Next, Outcome, Worker};
use crate::{
    coordinator::{
        boundary,
        error::{Error, refusal},
        memories::Memory,
        saga::{Beginning, Cause},
    },
    gateway::{Answer, Call},
    payment,
};

/// On whose behalf a payment's answers are recorded.
#[derive(Debug, Clone)]
pub(super) struct Behalf {
    pub(super) cause: Cause,
    pub(super) imported_at: Option<DateTime<Utc>>,
}

impl Worker {
    pub(super) async fn pay(
        &self,
        payment_id: PaymentId,
        job: &Job,
        memory: &Memory,
    ) -> Result<Outcome, Error> {
        if let (Memory::Quiet { revision }, Job::Event(event)) = (memory, job)
            && event.revision <= *revision
        {
            return Ok(Outcome { memory: Memory::Quiet { revision: *revision }, next: Next::AsBefore });
        }
        let id = payment_id.to_string();
        // A call that has its answer by now is made again under the same key, and its answer is a repeat.
        let (mut payment, mut revision) = match job {
            Job::Event(event) => self.commands.payment.load_from(&id, event.revision).await?,
            Job::Wake => self.commands.payment.load(&id).await?,
        };
        if !payment.open_operations().is_empty() {
            let behalf = self.behalf(payment_id, job).await?;
            let mut tried = BTreeSet::new();
            while let Some(open) = next_to_try(&payment, &mut tried) {
                (payment, revision) = self.try_call(payment, revision, open, &behalf).await?;
            }
        }
        let open = payment.open_operations();
        let pauses = open.iter().map(|open| self.config.retry.pause(open.attempts));
        let next = match pauses.min() {
            None => Next::WhenSomethingHappens,
            Some(pause) => Next::at(self.clock.now() + pause, "provider"),
        };
        let memory = match revision {
            Some(revision) if open.is_empty() => Memory::Quiet { revision },
            Some(_) | None => Memory::None,
        };
        Ok(Outcome { memory, next })
    }

    /// Makes a call and records its answer.
    async fn try_call(
        &self,
        payment: Payment,
        revision: Option<u64>,
        open: OpenOperation,
        behalf: &Behalf,
    ) -> Result<(Payment, Option<u64>), Error> {
        let Some(account) = payment.account() else { return Ok((payment, revision)) };
        let call = payment::call(account, &open);
        self.boundary(boundary::BEFORE_PROVIDER_CALL)?;
        let answer = payment::heard(call.operation, self.ask(&call, open.attempts).await);
        self.boundary(boundary::AFTER_PROVIDER_CALL)?;
        let attempt = open.attempts.saturating_add(1);
        let limit = self.config.retry.attempts_before_attention;
        let is_known = match &answer {
            Answer::Approved { .. } | Answer::Declined { .. } => true,
            Answer::Pending | Answer::Unknown { .. } => false,
        };
        if !is_known {
            tracing::info!(
                payment_id = %call.payment_id, operation = ?call.operation, attempt, ?answer,
                correlation_id = %behalf.cause.correlation_id, "the provider gave no answer; it is asked again"
            );
        }
        let mut reached = (payment, revision);
        if is_known || attempt <= limit {
            let command_id = payment::record_id(&call, &answer, attempt);
            let command = payment::record(call.operation, answer, attempt);
            reached =
                self.record(reached, call.payment_id, command, behalf.context(self, command_id)).await?;
        }
        if !is_known && attempt >= limit {
            let command = Command::RequireAttention { operation: call.operation, attempts: attempt };
            let context = behalf.context(self, payment::attention_id(&call));
            reached = self.record(reached, call.payment_id, command, context).await?;
        }
        self.boundary(boundary::ANSWER_RECORDED)?;
        Ok(reached)
    }

    /// Makes the call; when it has been made before, first asks what became of it.
    async fn ask(&self, call: &Call, attempts: u32) -> Answer {
        if attempts > 0
            && let Some(answer) = self.gateway.look_up(call).await
        {
            return answer;
        }
        self.gateway.perform(call).await
    }

    /// Records an answer, and says where the payment is then: by deciding here too when nobody else has
    /// written, and else by reading.
    async fn record(
        &self,
        (payment, revision): (Payment, Option<u64>),
        payment_id: PaymentId,
        command: Command,
        context: CommandContext,
    ) -> Result<(Payment, Option<u64>), Error> {
        let id = payment_id.to_string();
        let foreseen = payment.decide(&command);
        let handled = match self.commands.payment.handle(&id, command, context).await {
            Ok(handled) => handled,
            Err(error) => {
                let doing = "recording what the provider said";
                return Err(Error::refused(doing, &refusal(doing, error)?));
            }
        };
        let next = revision.map_or(0, |revision| revision + 1);
        if let Ok(events) = foreseen
            && !handled.replayed
            && !events.is_empty()
            && handled.revision == Some(next + events.len() as u64 - 1)
            && let Ok(reached) = events.iter().try_fold(payment, Decider::evolve)
        {
            return Ok((reached, handled.revision));
        }
        Ok(self.commands.payment.load(&id).await?)
    }

    /// The checkout that a payment belongs to says on whose behalf, and in which business time.
    pub(super) async fn behalf(&self, payment_id: PaymentId, job: &Job) -> Result<Behalf, Error> {
        let cause_of_job = match job {
            Job::Event(event) => Some(Cause::of(event)),
            Job::Wake => None,
        };
        let Some(beginning) = self.beginning_of(OrderId::from(payment_id)).await? else {
            let unknown = Cause { event_id: payment_id.0, correlation_id: payment_id.0, traceparent: None };
            return Ok(Behalf { cause: cause_of_job.unwrap_or(unknown), imported_at: None });
        };
        let Beginning { cause, imported_at } = beginning;
        Ok(Behalf { cause: cause_of_job.unwrap_or(cause), imported_at })
    }

    /// What a checkout began with; `None` when it has not begun.
    async fn beginning_of(&self, order_id: OrderId) -> Result<Option<Beginning>, Error> {
        if let Some(beginning) = self.beginnings.get(&order_id) {
            return Ok(Some(beginning));
        }
        let beginning = Beginning::read(self.store.as_ref(), order_id).await?;
        if let Some(beginning) = &beginning {
            self.beginnings.insert(order_id, beginning.clone());
        }
        Ok(beginning)
    }

    /// Records an answer that a webhook brought. `None` when there is no such payment.
    pub(super) async fn record_notified(
        &self,
        call: &Call,
        answer: Answer,
        behalf: &Behalf,
    ) -> Result<Option<()>, Error> {
        let doing = "recording what a webhook said";
        let context = behalf.context(self, payment::record_id(call, &answer, 0));
        let command = payment::record(call.operation, answer, 0);
        match self.commands.payment.handle(&call.payment_id.to_string(), command, context).await {
            Ok(_) => Ok(Some(())),
            Err(error) => match refusal(doing, error)? {
                Refusal::NotRequested => Ok(None),
                other => Err(Error::refused(doing, &other)),
            },
        }
    }
}

impl Behalf {
    fn context(&self, worker: &Worker, command_id: Uuid) -> CommandContext {
        CommandContext {
            command_id,
            correlation_id: self.cause.correlation_id,
            causation_id: self.cause.event_id,
            actor: Actor::Provider(worker.gateway.provider().to_owned()),
            occurred_at: self.imported_at.unwrap_or_else(|| worker.clock.now()),
            request_digest: None,
            traceparent: self.cause.traceparent.clone(),
            expected_revision: None,
        }
    }
}

/// The first open call that was not tried in this step.
fn next_to_try(payment: &Payment, tried: &mut BTreeSet<Operation>) -> Option<OpenOperation> {
    payment.open_operations().into_iter().find(|open| tried.insert(open.operation))
}
