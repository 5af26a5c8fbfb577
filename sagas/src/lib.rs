//! What must happen next: the checkout saga, the payment process, the coordinator that drives both, and
//! the payment gateways.
//!
//! The sagas are pure functions of what they have seen; the coordinator performs what they ask for, with
//! ids that follow from the saga and the step. **It can be killed at any instruction and resumes; doing a
//! step twice changes nothing.**

pub mod checkout;
pub mod coordinator;
pub mod gateway;
pub mod payment;
pub mod webhook;
