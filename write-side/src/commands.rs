//! The command handlers of all contexts, over one store. Whoever sends commands (the HTTP API, the
//! sagas, an import) holds a clone of this and nothing else of the write side.

use std::sync::Arc;

use domain::{order, payment};
use event_store::EventStore;
use events::ids::OrderId;

use crate::{CommandContext, CommandHandler, HandleError, Handled, Snapshots};

/// One handler for each context. Cheap to clone; clones share their queues and caches.
#[derive(Debug, Clone)]
pub struct Commands {
    /// Products and prices, by SKU.
    pub catalog: CommandHandler<domain::catalog::Product>,
    /// Stock, by SKU.
    pub inventory: CommandHandler<domain::inventory::Stock>,
    /// Orders, by order id.
    pub order: CommandHandler<domain::order::Order>,
    /// Payments, by payment id.
    pub payment: CommandHandler<domain::payment::Payment>,
    /// Credit notes, by their id.
    pub credit: CommandHandler<domain::credit::CreditNote>,
    /// Adjustments in the books, by their id.
    pub ledger: CommandHandler<domain::ledger::LedgerAdjustment>,
}

impl Commands {
    /// Handlers that write to `store`.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self::over(CommandHandler::new(store.clone()), store)
    }

    /// The same, where states of streams whose histories grow long are stored beside the log.
    pub fn with_snapshots(store: Arc<dyn EventStore>, snapshots: Snapshots) -> Self {
        Self::over(CommandHandler::with_snapshots(store.clone(), snapshots), store)
    }

    fn over(inventory: CommandHandler<domain::inventory::Stock>, store: Arc<dyn EventStore>) -> Self {
        Self {
            catalog: CommandHandler::new(store.clone()),
            inventory,
            order: CommandHandler::new(store.clone()),
            payment: CommandHandler::new(store.clone()),
            credit: CommandHandler::new(store.clone()),
            ledger: CommandHandler::new(store),
        }
    }

    /// Hands an order over for delivery, once its money is taken.
    pub async fn record_dispatch(
        &self,
        order_id: OrderId,
        context: CommandContext,
    ) -> Result<Handled, HandleError<order::Refusal>> {
        let id = order_id.to_string();
        let (payment, _) = self.payment.load(&id).await?;
        let captured = payment.account().map(payment::Account::captured);
        self.order.handle(&id, order::Command::RecordDispatch { captured }, context).await
    }

    /// Waits until every command that was taken in is answered. For a shutdown, once nobody sends any more.
    pub async fn finish(&self) {
        tokio::join!(
            self.catalog.finish(),
            self.inventory.finish(),
            self.order.finish(),
            self.payment.finish(),
            self.credit.finish(),
            self.ledger.finish(),
        );
    }
}
