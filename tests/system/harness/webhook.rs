//! Deliveries as the provider makes them, and as somebody makes them who wants to be taken for it.

use chrono::{DateTime, Utc};
use events::{Money, ids::PaymentId, payment::Operation};
use platform::clock::Clock;
use reqwest::Method;
use sagas::gateway::{
    Answer as ProviderAnswer, Call,
    sandbox::{notification::Notice, signature},
};

use super::{Answer, Client};

/// What the sandbox signs with when nobody says otherwise.
pub(crate) const SECRET: &str = "sandbox-webhook-secret";

/// The address of the sandbox's webhooks.
pub(crate) const PATH: &str = "/webhooks/payments/sandbox";

/// An operation on an order's payment in pounds, as the provider knows it.
pub(crate) fn call(order_id: &str, operation: Operation, pence: i64, method: &str) -> Call {
    let amount = Money::new(pence, "GBP".parse().unwrap());
    Call { payment_id: order_id.parse().unwrap(), operation, amount, method: method.to_owned() }
}

/// That the provider did what it was asked for.
pub(crate) fn approval(order_id: &str, operation: Operation, pence: i64) -> Notice {
    let payment_id: PaymentId = order_id.parse().unwrap();
    let amount = Money::new(pence, "GBP".parse().unwrap());
    let provider_reference = format!("sbx_{}", payment_id.0.simple());
    Notice::new(payment_id, operation, ProviderAnswer::Approved { provider_reference, amount })
}

impl Client {
    /// Delivers a notification, well signed and just now.
    pub(crate) async fn deliver(&self, notice: &Notice) -> Answer {
        self.deliver_signed(notice, SECRET, Clock::system().now()).await
    }

    /// Delivers a notification, signed with any secret at any time.
    pub(crate) async fn deliver_signed(
        &self,
        notice: &Notice,
        secret: &str,
        signed_at: DateTime<Utc>,
    ) -> Answer {
        let body = serde_json::to_vec(notice).unwrap();
        let signature = signature::sign(secret.as_bytes(), signed_at, &body);
        self.deliver_raw(body, Some(&signature)).await
    }

    /// Delivers bytes with whatever stands for a signature.
    pub(crate) async fn deliver_raw(&self, body: Vec<u8>, signature: Option<&str>) -> Answer {
        let mut request =
            self.request(Method::POST, PATH).header("content-type", "application/json").body(body);
        if let Some(signature) = signature {
            request = request.header(signature::HEADER, signature);
        }
        self.send(request).await
    }
}
