//! Doing what the file says: products and opening stock first, then its documents in order, many at a
//! time. Every command id derives from the source, so a run that was killed goes on where it was: what
//! had been done answers as a repeat.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{catalog, credit, inventory, ledger, order};
use event_store::{Direction, EventStore, Filter, Position, StoreError};
use events::{
    Actor, Category, Currency, DomainEvent, UnitPrice,
    checkout::CheckoutEvent,
    ids::{CreditNoteId, CustomerId, LedgerAdjustmentId, OrderId, Sku},
    order::Origin,
};
use futures::{FutureExt, StreamExt};
use tokio::sync::{Mutex, oneshot};
use uuid::Uuid;
use write_side::{CommandContext, Commands, HandleError, Handled};

use super::{
    Account,
    retail::{Document, DocumentKind, History, Product},
};

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Invoices that are finished.
    pub documents_done: u64,
    /// Invoices that are to be imported.
    pub documents: u64,
    /// Rows that are accounted for.
    pub rows_done: u64,
}

/// Why an import stopped. What was done stays done, and starting again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed, or a command could not be carried out for a reason that is not in the file.
    #[error("invoice {invoice}: {reason}; start the import again to go on from here")]
    Interrupted {
        /// The invoice that was being imported.
        invoice: String,
        /// What happened.
        reason: String,
    },
    /// The coordinator could not be followed.
    #[error("cannot follow the checkouts: {0}")]
    Follow(#[from] StoreError),
}

/// Imports a history through the command handlers; the coordinator has to be running.
#[derive(Debug, Clone)]
pub struct Importer {
    store: Arc<dyn EventStore>,
    commands: Commands,
    /// How many documents are in the works at once.
    concurrency: usize,
}

/// How a checkout ended.
enum Ending {
    Completed,
    Compensated,
    Attention,
}

type Waiting = Arc<Mutex<HashMap<OrderId, oneshot::Sender<Ending>>>>;

/// What one document came to.
struct Outcome {
    refused: Option<String>,
    /// Rows of stock changes that were refused, by reason.
    stock_refused: Vec<String>,
    repeated: bool,
}

impl Importer {
    /// An importer on this store.
    pub fn new(store: Arc<dyn EventStore>, commands: Commands) -> Self {
        Self { store, commands, concurrency: 128 }
    }

    /// Imports the first `limit` documents of the history, or all of them.
    pub async fn run(
        &self,
        history: &History,
        limit: Option<usize>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Account, Error> {
        let documents = &history.documents[..limit.unwrap_or(usize::MAX).min(history.documents.len())];
        let waiting: Waiting = Arc::default();
        let head = self.store.head().await?;
        let follower = tokio::spawn(tell_endings(Arc::clone(&self.store), head, Arc::clone(&waiting)));

        let mut account = Account::default();
        let mut done = Progress { documents_done: 0, documents: documents.len() as u64, rows_done: 0 };
        progress(done);
        let result = async {
            self.prepare(history, documents).await?;
            let mut works = futures::stream::iter(documents)
                .map(|document| {
                    self.import(history, document, &waiting).map(move |outcome| (document, outcome))
                })
                .buffer_unordered(self.concurrency);
            while let Some((document, outcome)) = works.next().await {
                settle(&mut account, document, &outcome?);
                done.documents_done += 1;
                done.rows_done = account.rows();
                progress(done);
            }
            Ok(account)
        }
        .await;
        follower.abort();
        result
    }

    /// Lists every product of these documents and receives the opening stock that the whole file needs.
    async fn prepare(&self, history: &History, documents: &[Document]) -> Result<(), Error> {
        let mut first_sold: HashMap<&Sku, DateTime<Utc>> = HashMap::new();
        for document in documents {
            let sold = match &document.kind {
                DocumentKind::Sale(lines) => lines.iter().map(|line| &line.sku).collect(),
                DocumentKind::Credit(_) | DocumentKind::LedgerAdjustment(..) | DocumentKind::StockOnly => {
                    Vec::new()
                }
            };
            for sku in sold.into_iter().chain(document.stock_changes.iter().map(|change| &change.sku)) {
                first_sold.entry(sku).or_insert(document.date);
            }
        }
        let works = futures::stream::iter(first_sold)
            .map(|(sku, date)| async move {
                match history.products.get(sku) {
                    Some(product) => self.open(history, sku, product, date).await,
                    None => Ok(()),
                }
            })
            .buffer_unordered(self.concurrency);
        works.collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn open(
        &self,
        history: &History,
        sku: &Sku,
        product: &Product,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let interrupted =
            |reason: String| Error::Interrupted { invoice: format!("opening of {sku}"), reason };
        let price = UnitPrice::from_thousandths(product.price_thousandths, Currency::GBP)
            .map_err(|error| interrupted(error.to_string()))?;
        let context = context(history.namespace, &format!("product:{sku}"), at);
        let list =
            catalog::Command::List { sku: sku.clone(), title: product.title.clone(), prices: vec![price] };
        match self.commands.catalog.handle(sku.as_str(), list, context).await {
            // The shop may offer it already under another title: history does not change the catalog.
            Ok(_) | Err(HandleError::Refused(_)) => {}
            Err(error) => return Err(interrupted(error.to_string())),
        }
        if product.units_out == 0 {
            return Ok(());
        }
        let reference = format!("opening stock of import {}", &history.digest[..12]);
        let context = self::context(history.namespace, &format!("opening:{}:{sku}", history.digest), at);
        let receive =
            inventory::Command::Receive { sku: sku.clone(), quantity: product.units_out, reference };
        match self.commands.inventory.handle(sku.as_str(), receive, context).await {
            Ok(_) => Ok(()),
            Err(error) => Err(interrupted(error.to_string())),
        }
    }

    async fn import(
        &self,
        history: &History,
        document: &Document,
        waiting: &Waiting,
    ) -> Result<Outcome, Error> {
        let key = format!("invoice:{}", document.number);
        let id = Uuid::new_v5(&history.namespace, key.as_bytes());
        let context = context(history.namespace, &key, document.date);
        let customer_id = document
            .customer
            .as_ref()
            .map(|number| CustomerId::derived(history.namespace, &format!("customer:{number}")));
        let mut outcome = match &document.kind {
            DocumentKind::Sale(lines) => {
                let order_id = OrderId(id);
                let place = order::Command::Place {
                    order_id,
                    customer_id,
                    contact: None,
                    lines: lines.clone(),
                    payment_method: "tok_approve".to_owned(),
                    origin: Origin::Imported {
                        source: "online-retail".to_owned(),
                        reference: document.number.clone(),
                        country: Some(document.country.clone()),
                    },
                };
                let (ended, ending) = oneshot::channel();
                waiting.lock().await.insert(order_id, ended);
                let handled = self.commands.order.handle(&id.to_string(), place, context).await;
                let outcome = outcome_of(document, handled)?;
                if outcome.refused.is_some() {
                    outcome
                } else {
                    self.await_ending(order_id, outcome, ending, waiting).await?
                }
            }
            DocumentKind::Credit(lines) => {
                let issue = credit::Command::Issue {
                    credit_note_id: CreditNoteId(id),
                    reference: document.number.clone(),
                    customer_id,
                    lines: lines.clone(),
                };
                outcome_of(document, self.commands.credit.handle(&id.to_string(), issue, context).await)?
            }
            DocumentKind::LedgerAdjustment(amount, reason) => {
                let adjust = ledger::Command::Adjust {
                    adjustment_id: LedgerAdjustmentId(id),
                    reference: document.number.clone(),
                    amount: *amount,
                    reason: reason.clone(),
                };
                outcome_of(document, self.commands.ledger.handle(&id.to_string(), adjust, context).await)?
            }
            DocumentKind::StockOnly => Outcome { refused: None, stock_refused: Vec::new(), repeated: false },
        };
        for change in &document.stock_changes {
            let key = format!("invoice:{}:line:{}:{}", document.number, change.line, change.sku);
            let context = self::context(history.namespace, &key, document.date);
            let adjust = inventory::Command::Adjust {
                sku: change.sku.clone(),
                delta: change.delta,
                reason: change.reason.clone(),
            };
            let handled = self.commands.inventory.handle(change.sku.as_str(), adjust, context).await;
            outcome.stock_refused.extend(outcome_of(document, handled)?.refused);
        }
        Ok(outcome)
    }

    /// Waits until the saga has finished the order, which it may have done in an earlier run.
    async fn await_ending(
        &self,
        order_id: OrderId,
        mut outcome: Outcome,
        ending: oneshot::Receiver<Ending>,
        waiting: &Waiting,
    ) -> Result<Outcome, Error> {
        let earlier = if outcome.repeated { self.earlier_ending(order_id).await? } else { None };
        let ending = match earlier {
            Some(ending) => {
                waiting.lock().await.remove(&order_id);
                ending
            }
            None => ending.await.map_err(|_| Error::Interrupted {
                invoice: order_id.to_string(),
                reason: "the coordinator's history could not be followed any further".to_owned(),
            })?,
        };
        outcome.refused = match ending {
            Ending::Completed => None,
            Ending::Compensated => Some("the checkout was rejected".to_owned()),
            Ending::Attention => Some("the checkout needs a person to look at it".to_owned()),
        };
        Ok(outcome)
    }

    async fn earlier_ending(&self, order_id: OrderId) -> Result<Option<Ending>, StoreError> {
        let stream = Category::Checkout.stream(order_id);
        let last = self.store.read_stream(&stream, Direction::Backwards, None, 1).await?;
        Ok(last
            .first()
            .and_then(|event| ending(&event.name, event.version, &event.payload))
            .map(|(_, ending)| ending))
    }
}

/// Follows the checkouts and tells each order that is waited for how it ended.
async fn tell_endings(store: Arc<dyn EventStore>, after: Position, waiting: Waiting) {
    let mut pages = store.follow(after, Filter::categories([Category::Checkout]));
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => {
                let mut waiting = waiting.lock().await;
                for event in &page.events {
                    if let Some((order_id, ending)) = ending(&event.name, event.version, &event.payload)
                        && let Some(waits) = waiting.remove(&order_id)
                    {
                        // Who waited may have been interrupted, and then nobody needs to know.
                        let _ = waits.send(ending);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the event store is away; the import waits for it"),
        }
    }
}

fn ending(name: &str, version: u16, payload: &[u8]) -> Option<(OrderId, Ending)> {
    match CheckoutEvent::decode(name, version, payload).ok()? {
        CheckoutEvent::DispatchCompleted(event) => Some((event.order_id, Ending::Completed)),
        CheckoutEvent::Compensated(event) => Some((event.order_id, Ending::Compensated)),
        CheckoutEvent::AttentionRequired(event) => Some((event.order_id, Ending::Attention)),
        CheckoutEvent::Started(_)
        | CheckoutEvent::StockReserved(_)
        | CheckoutEvent::PaymentAuthorized(_)
        | CheckoutEvent::OrderConfirmed(_)
        | CheckoutEvent::PaymentCaptured(_)
        | CheckoutEvent::Completed(_)
        | CheckoutEvent::DispatchStarted(_)
        | CheckoutEvent::CompensationStarted(_)
        | CheckoutEvent::StockReleased(_)
        | CheckoutEvent::PaymentUndone(_)
        | CheckoutEvent::DeadlinePassed(_) => None,
    }
}

fn context(namespace: Uuid, key: &str, occurred_at: DateTime<Utc>) -> CommandContext {
    let command_id = Uuid::new_v5(&namespace, key.as_bytes());
    CommandContext {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: Actor::Import("online-retail".to_owned()),
        occurred_at,
        request_digest: None,
        traceparent: None,
        expected_revision: None,
    }
}

/// A refusal is an outcome of the row; anything else interrupts the import.
fn outcome_of<R: std::error::Error>(
    document: &Document,
    handled: Result<Handled, HandleError<R>>,
) -> Result<Outcome, Error> {
    match handled {
        Ok(handled) => Ok(Outcome { refused: None, stock_refused: Vec::new(), repeated: handled.replayed }),
        Err(HandleError::Refused(refusal)) => {
            Ok(Outcome { refused: Some(refusal.to_string()), stock_refused: Vec::new(), repeated: false })
        }
        Err(error) => Err(Error::Interrupted { invoice: document.number.clone(), reason: error.to_string() }),
    }
}

fn settle(account: &mut Account, document: &Document, outcome: &Outcome) {
    let stock_rows_refused = outcome.stock_refused.len() as u64;
    let mut taken = document.clone();
    for reason in &outcome.stock_refused {
        account.refused(document, 1, reason);
    }
    if let Some(rows) = taken.rows.get_mut(&super::retail::Treatment::StockAdjusted) {
        *rows -= stock_rows_refused;
    }
    if let Some(reason) = &outcome.refused {
        let refused =
            taken.rows.iter().filter(|(treatment, _)| treatment.is_main()).map(|(_, rows)| rows).sum();
        account.refused(document, refused, reason);
        taken.rows.retain(|treatment, _| !treatment.is_main());
    } else {
        match document.kind {
            DocumentKind::Sale(_) => account.orders += 1,
            DocumentKind::Credit(_) => account.credit_notes += 1,
            DocumentKind::LedgerAdjustment(..) | DocumentKind::StockOnly => {}
        }
    }
    account.repeated += u64::from(outcome.repeated);
    account.taken(&taken);
}
