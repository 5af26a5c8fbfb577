//! Given a history, when a command comes, then so much happened, or nothing, or it was refused.

use chrono::{DateTime, Utc};
use domain::Decider;
use events::{Currency, Money, UnitPrice, ids::Sku};
use uuid::Uuid;

/// The state after a history.
pub(crate) fn given<D: Decider>(history: impl AsRef<[D::Event]>) -> Given<D> {
    Given(D::replay(history.as_ref()).expect("the given history is one that can be"))
}

pub(crate) struct Given<D>(D);

impl<D: Decider> Given<D> {
    #[allow(clippy::needless_pass_by_value, reason = "a scenario reads better without the borrows")]
    pub(crate) fn when(self, command: D::Command) -> When<D> {
        let answer = self.0.decide(&command);
        When { state: self.0, answer }
    }

    pub(crate) fn state(self) -> D {
        self.0
    }
}

pub(crate) struct When<D: Decider> {
    state: D,
    answer: Result<Vec<D::Event>, D::Refusal>,
}

impl<D: Decider> When<D>
where
    D::Event: PartialEq,
{
    /// Exactly these events, and the state can take them.
    #[track_caller]
    pub(crate) fn then(self, expected: impl AsRef<[D::Event]>) {
        assert_eq!(self.answer.as_deref(), Ok(expected.as_ref()));
        let evolved = expected.as_ref().iter().try_fold(self.state, Decider::evolve);
        assert!(evolved.is_ok(), "what was decided cannot be taken: {:?}", evolved.err());
    }

    #[track_caller]
    pub(crate) fn then_nothing(self) {
        assert_eq!(self.answer, Ok(vec![]));
    }

    #[track_caller]
    pub(crate) fn then_refused(self, expected: &D::Refusal) {
        assert_eq!(self.answer.as_ref(), Err(expected));
    }
}

pub(crate) fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn gbp(pence: i64) -> Money {
    Money::new(pence, Currency::GBP)
}

pub(crate) fn eur(cents: i64) -> Money {
    Money::new(cents, Currency::EUR)
}

pub(crate) fn price(pence: i64) -> UnitPrice {
    UnitPrice::from_minor(pence, Currency::GBP).unwrap()
}

/// So many seconds after some moment.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}
