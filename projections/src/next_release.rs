//! What the read models of a release after this one might be, for tests in which two releases are at work
//! beside each other. **Never in a release.** The orders get a column more, which readers of this release do
//! not know of.

use std::sync::Arc;

use async_trait::async_trait;
use events::{Category, order::OrderEvent};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{ApplyError, Definition, Event, Fact, Projector, Table, View, orders::Orders};

/// The orders, each with its means of payment.
#[derive(Debug)]
struct NextOrders;

static DEFINITION: Definition = Definition {
    name: "orders",
    version: 3,
    categories: &[Category::Order, Category::Payment],
    names: &[],
    tables: &[
        Table { name: "orders", key: "order_id" },
        Table { name: "order_lines", key: "order_id, line" },
        Table { name: "payments", key: "payment_id" },
    ],
    create: concat!(
        include_str!("orders/tables.sql"),
        include_str!("payments/tables.sql"),
        "alter table orders add column payment_method text;"
    ),
    indexes: include_str!("orders/indexes.sql"),
    views: &[
        View {
            name: "orders",
            query: concat!(
                "select shown.*, placed.payment_method from (",
                include_str!("orders/view.sql"),
                ") as shown join orders as placed using (order_id)"
            ),
        },
        View {
            name: "order_lines",
            query: "select order_id, line, sku, quantity, unit_price_thousandths, amount from order_lines",
        },
    ],
    kept_whole: None,
};

#[async_trait]
impl Projector for NextOrders {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    async fn apply(&self, facts: &[&Fact], db: &mut PgConnection) -> Result<(), ApplyError> {
        Orders.apply(facts, db).await?;
        let placed = facts.iter().filter_map(|fact| match &fact.event {
            Event::Order(OrderEvent::Placed(placed)) => {
                Some((placed.order_id.0, placed.payment_method.as_str()))
            }
            _ => None,
        });
        let (orders, methods): (Vec<Uuid>, Vec<&str>) = placed.unzip();
        sqlx::query(
            "update orders set payment_method = placed.method
             from unnest($1::uuid[], $2::text[]) as placed (order_id, method)
             where orders.order_id = placed.order_id",
        )
        .bind(orders)
        .bind(methods)
        .execute(db)
        .await?;
        Ok(())
    }
}

/// This release's projections as the next one has them.
pub(crate) fn raised(all: Vec<Arc<dyn Projector>>) -> Vec<Arc<dyn Projector>> {
    let raise = |projection: Arc<dyn Projector>| match projection.definition().name {
        "orders" => Arc::new(NextOrders) as Arc<dyn Projector>,
        _ => projection,
    };
    all.into_iter().map(raise).collect()
}
