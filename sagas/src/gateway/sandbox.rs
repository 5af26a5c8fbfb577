//! A provider stand-in with books of its own, scripted by test tokens. The books are pure; `memory` keeps
//! them in the process for simulations, `server` in Postgres behind HTTP, and `client` calls the latter.

pub mod books;
pub mod client;
pub mod memory;
pub mod notification;
mod postgres;
pub mod server;
pub mod signature;
#[cfg(test)]
mod tests;
mod wire;

pub use postgres::{Error, migrate, read_books};

/// The provider's name in addresses, events and configuration.
pub const PROVIDER: &str = "sandbox";

/// Means of payment with a script. Any other is declined.
pub mod tokens {
    /// Approves at once.
    pub const APPROVE: &str = "tok_approve";
    /// Declines at once.
    pub const DECLINE: &str = "tok_decline";
    /// Approves, but the first answer is lost.
    pub const TIMEOUT_THEN_APPROVE: &str = "tok_timeout_then_approve";
    /// Declines, but the first answer is lost.
    pub const TIMEOUT_THEN_DECLINE: &str = "tok_timeout_then_decline";
    /// Fails with an internal error and no effect, then approves.
    pub const ERROR_THEN_APPROVE: &str = "tok_error_then_approve";
    /// Approves, slowly.
    pub const SLOW: &str = "tok_slow";
    /// Answers that it is pending, and approves later; a webhook says so.
    pub const WEBHOOK_ONLY: &str = "tok_webhook_only";
    /// Approves, and sends every webhook twice.
    pub const WEBHOOK_TWICE: &str = "tok_webhook_twice";
    /// Approves, and sends the webhook before the answer.
    pub const WEBHOOK_FIRST: &str = "tok_webhook_first";
    /// Authorizes, and refuses every capture.
    pub const CAPTURE_FAILS: &str = "tok_capture_fails";
    /// Approves; voids and refunds are out of service for the first few tries.
    pub const UNDO_DOWN: &str = "tok_undo_down";
    /// Authorizes another amount than was asked for.
    pub const AMOUNT_DIFFERS: &str = "tok_amount_differs";

    /// All of them.
    pub const ALL: [&str; 12] = [
        APPROVE,
        DECLINE,
        TIMEOUT_THEN_APPROVE,
        TIMEOUT_THEN_DECLINE,
        ERROR_THEN_APPROVE,
        SLOW,
        WEBHOOK_ONLY,
        WEBHOOK_TWICE,
        WEBHOOK_FIRST,
        CAPTURE_FAILS,
        UNDO_DOWN,
        AMOUNT_DIFFERS,
    ];
}
