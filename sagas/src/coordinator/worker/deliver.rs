//! A step for a delivery of the provider: what it says is recorded with its payment. **One that comes before
//! its payment is kept and tried again**, and past its time shown to a person.

use bytes::Bytes;
use event_store::{AppendError, Direction, ExpectedRevision, NewEvent, RecordedEvent};
use events::{
    Actor, Category, DomainEvent, Metadata, StreamName,
    webhook::{Applied, AttentionRequired, Received, WebhookEvent},
};
use uuid::Uuid;

use super::{Job, Next, Outcome, Worker, pay::Behalf};
use crate::{
    coordinator::{boundary, error::Error, memories::Memory, saga::ACTOR},
    gateway::{Answer, Call},
    payment,
};

/// Received, and then one more.
const EVENTS_MAX: usize = 10;

/// What becomes of a delivery.
enum Verdict {
    Applied,
    TryAgain,
    Hopeless { code: &'static str },
}

impl Worker {
    pub(super) async fn deliver(&self, notification_id: &str) -> Result<Outcome, Error> {
        let done = |next| Ok(Outcome { memory: Memory::None, next });
        let stream = Category::Webhook.stream(notification_id);
        let history = self.store.read_stream(&stream, Direction::Forwards, None, EVENTS_MAX).await?;
        let [first] = history.as_slice() else { return done(Next::WhenSomethingHappens) };
        let event = WebhookEvent::decode(&first.name, first.version, &first.payload)
            .map_err(|source| Error::Unreadable { stream: stream.clone(), source })?;
        let WebhookEvent::Received(received) = event else { return done(Next::WhenSomethingHappens) };
        let verdict = self.judge(&received, first).await?;
        let payment_id = received.payment_id;
        let ending = match verdict {
            Verdict::Applied => {
                self.boundary(boundary::WEBHOOK_RECORDED)?;
                WebhookEvent::Applied(Applied { notification_id: received.notification_id, payment_id })
            }
            Verdict::TryAgain => {
                let elapsed = self.clock.now() - first.metadata.occurred_at;
                let pause = self.config.retry.pause_after(elapsed);
                return done(Next::at(self.clock.now() + pause, "its_payment"));
            }
            Verdict::Hopeless { code } => {
                tracing::error!(%stream, %payment_id, code, "a delivery cannot be applied; a person has to look");
                WebhookEvent::AttentionRequired(AttentionRequired {
                    notification_id: received.notification_id,
                    payment_id,
                    code: code.to_owned(),
                })
            }
        };
        self.end(&stream, first, &ending).await?;
        done(Next::WhenSomethingHappens)
    }

    async fn judge(&self, received: &Received, first: &RecordedEvent) -> Result<Verdict, Error> {
        if received.provider != self.gateway.provider() {
            return Ok(Verdict::Hopeless { code: "unknown_provider" });
        }
        let Some((operation, answer)) = self.gateway.interpret(&received.notification) else {
            return Ok(Verdict::Hopeless { code: "unreadable" });
        };
        let answer = payment::heard(operation, answer);
        match answer {
            // It says that there is nothing to say yet.
            Answer::Pending | Answer::Unknown { .. } => return Ok(Verdict::Applied),
            Answer::Approved { .. } | Answer::Declined { .. } => {}
        }
        let (known, _) = self.commands.payment.load(&received.payment_id.to_string()).await?;
        let recorded = match known.account() {
            None => None,
            Some(account) => {
                let call = Call {
                    payment_id: received.payment_id,
                    operation,
                    amount: account.intent().amount,
                    method: account.intent().method.clone(),
                };
                let behalf: Behalf = self.behalf(received.payment_id, &Job::Wake).await?;
                self.record_notified(&call, answer, &behalf).await?
            }
        };
        if recorded.is_some() {
            return Ok(Verdict::Applied);
        }
        if self.clock.now() - first.metadata.occurred_at >= self.config.webhook_patience {
            return Ok(Verdict::Hopeless { code: "no_such_payment" });
        }
        Ok(Verdict::TryAgain)
    }

    /// Writes what became of the delivery. That it is written already is as good.
    async fn end(
        &self,
        stream: &StreamName,
        first: &RecordedEvent,
        event: &WebhookEvent,
    ) -> Result<(), Error> {
        let doing = "writing what became of a delivery";
        let payload = event.encode().map_err(|error| Error::refused(doing, &error))?;
        let new = NewEvent {
            id: Uuid::new_v5(&first.id, event.wire_name().as_bytes()),
            name: event.wire_name().to_owned(),
            version: event.wire_version(),
            payload: Bytes::from(payload),
            metadata: Metadata {
                occurred_at: self.clock.now(),
                correlation_id: first.metadata.correlation_id,
                causation_id: first.id,
                command_id: first.id,
                request_digest: None,
                actor: Actor::Saga(ACTOR.to_owned()),
                traceparent: first.metadata.traceparent.clone(),
            },
        };
        match self.store.append(stream, ExpectedRevision::Exact(first.revision), vec![new]).await {
            Ok(_) | Err(AppendError::Conflict { .. } | AppendError::AlreadyAppended { .. }) => Ok(()),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(error @ (AppendError::TooLarge { .. } | AppendError::Malformed { .. })) => {
                Err(Error::refused(doing, &error))
            }
        }
    }
}
