//! Customers of every kind, who come back with the same key until they are served, whatever becomes of the
//! shop meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Acknowledged, Books, Client, checkout};

/// What a customer does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Customer {
    /// Pays in this way, and that is all.
    Pays(&'static str),
    /// Pays, and gets the goods.
    GetsTheGoods,
    /// Pays, and calls it off.
    CallsItOff,
    /// Pays, and gets a part of the money back.
    GetsMoneyBack,
    /// Wants more than there is.
    WantsTooMuch,
}

/// One of each, so that any few in a row pass through all of the code.
pub(crate) const MIX: [Customer; 12] = [
    Customer::Pays("tok_approve"),
    Customer::GetsTheGoods,
    Customer::Pays("tok_webhook_only"),
    Customer::CallsItOff,
    Customer::Pays("tok_decline"),
    Customer::GetsMoneyBack,
    Customer::Pays("tok_error_then_approve"),
    Customer::WantsTooMuch,
    Customer::Pays("tok_webhook_first"),
    Customer::Pays("tok_capture_fails"),
    Customer::Pays("tok_timeout_then_approve"),
    Customer::Pays("tok_undo_down"),
];

impl Customer {
    /// Shops, however often the server goes away meanwhile. Gives the order's id.
    pub(crate) async fn shop(self, client: Client, key: String, acknowledged: Acknowledged) -> String {
        let (units, payment_method) = match self {
            Self::Pays(payment_method) => (1, payment_method),
            Self::WantsTooMuch => (900_000, "tok_approve"),
            Self::GetsTheGoods | Self::CallsItOff | Self::GetsMoneyBack => (2, "tok_approve"),
        };
        let body = checkout(&[("MUG", units), ("SPOON", units)], payment_method);
        let answer = client.insist("/checkouts", &key, &body).await.expect(202);
        let order_id = acknowledged.keep_checkout(&key, &answer);
        at_rest(&client, &order_id).await;
        let then = match self {
            Self::GetsTheGoods => Some((format!("/orders/{order_id}/dispatch"), json!({}), "order")),
            Self::CallsItOff => {
                let reason = json!({"reason": "customer_request"});
                Some((format!("/orders/{order_id}/cancellation"), reason, "order"))
            }
            Self::GetsMoneyBack => {
                let refund = json!({"amount": {"amount": 100, "currency": "GBP"}, "reason": "chipped"});
                Some((format!("/payments/{order_id}/refunds"), refund, "payment"))
            }
            Self::Pays(_) | Self::WantsTooMuch => None,
        };
        if let Some((path, body, category)) = then {
            let key = format!("{key}-then");
            let answer = client.insist(&path, &key, &body).await;
            assert!(answer.status.is_success(), "{path}: {} {:#}", answer.status, answer.body);
            acknowledged.keep(&format!("{category}-{order_id}"), &key, &answer);
        }
        order_id
    }

    /// Where the order must be in the end.
    fn expects(self) -> (&'static str, &'static str) {
        match self {
            Self::Pays("tok_decline") => ("rejected", "declined"),
            Self::Pays("tok_capture_fails") => ("rejected", "voided"),
            Self::Pays(_) => ("confirmed", "captured"),
            Self::GetsTheGoods => ("completed", "captured"),
            Self::CallsItOff => ("cancelled", "refunded"),
            Self::GetsMoneyBack => ("confirmed", "partially_refunded"),
            Self::WantsTooMuch => ("rejected", "none"),
        }
    }

    /// What the provider has taken and given back in the end. A mug and a spoon are thirteen pounds.
    fn pays(self) -> (i64, i64) {
        match self {
            Self::Pays("tok_decline" | "tok_capture_fails") | Self::WantsTooMuch => (0, 0),
            Self::Pays(_) => (1300, 0),
            Self::GetsTheGoods => (2600, 0),
            Self::CallsItOff => (2600, 2600),
            Self::GetsMoneyBack => (2600, 100),
        }
    }
}

/// Waits until an order is neither on its way to being paid nor on its way back.
async fn at_rest(client: &Client, order_id: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(3);
    loop {
        let order = client.try_get(&format!("/orders/{order_id}")).await.map(|answer| answer.body);
        let is = |order: &Value, status: &str, payment: &str| {
            order["status"] == status && order["payment_status"] == payment
        };
        let ends = MIX.map(Customer::expects);
        if order.as_ref().is_some_and(|order| ends.iter().any(|(status, payment)| is(order, status, payment)))
        {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "order {order_id} does not come to rest: {order:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every order is where its customer wants it, and holds what each paid against the provider's books,
/// which are asked for then.
pub(crate) async fn each_got_what_was_due(
    served: &[(String, Customer)],
    client: &Client,
    books: impl AsyncFnOnce() -> Books,
) {
    for (order_id, customer) in served {
        let (status, payment_status) = customer.expects();
        client.order_at(order_id, status, payment_status).await;
    }
    let books = books().await;
    for (order_id, customer) in served {
        let book = books.of(order_id);
        let found = book.map_or((0, 0), |book| (book.captured, book.refunded));
        assert_eq!(found, customer.pays(), "{customer:?} {book:#?}");
    }
}
