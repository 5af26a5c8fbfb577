//! What the sandbox provider says that it did, in its own words.

use sagas::gateway::sandbox::books::PaymentBook;

/// The provider's books, as it publishes them.
#[derive(Debug)]
pub(crate) struct Books(Vec<PaymentBook>);

impl Books {
    /// Asks the provider at `url` for them.
    pub(crate) async fn fetch(url: &str) -> Self {
        let answer = reqwest::get(url).await.unwrap();
        let body: serde_json::Value = answer.json().await.unwrap();
        let list = body.get("payments").unwrap_or(&body).clone();
        Self(serde_json::from_value(list).unwrap())
    }

    /// All payments that it was called about.
    pub(crate) fn all(&self) -> &[PaymentBook] {
        &self.0
    }

    /// The payment of an order; nothing if it was never called about it.
    pub(crate) fn of(&self, order_id: &str) -> Option<&PaymentBook> {
        self.0.iter().find(|book| book.payment_id.to_string() == order_id)
    }

    /// What it took for an order, less what it gave back, in minor units.
    pub(crate) fn kept_of(&self, order_id: &str) -> i64 {
        self.of(order_id).map_or(0, |book| book.captured - book.refunded)
    }

    /// Whether it holds, or has taken and not given back, anything for an order.
    pub(crate) fn has_money_of(&self, order_id: &str) -> bool {
        self.of(order_id).is_some_and(|book| {
            let held = if book.voided || book.captured > 0 { 0 } else { book.authorized };
            held > 0 || book.captured > book.refunded
        })
    }
}
