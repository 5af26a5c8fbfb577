//! How patiently an unknown outcome is asked about.

use chrono::TimeDelta;

/// Pauses that double from the first to the longest, and the number of attempts after which a person is
/// told. Asking never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The pause after the first attempt.
    pub first: TimeDelta,
    /// The longest pause.
    pub longest: TimeDelta,
    /// How many attempts are made before a person is told.
    pub attempts_before_attention: u32,
}

impl Default for Retry {
    /// 200 ms, doubling to a minute; a person is told after ten attempts, which is after about two minutes.
    fn default() -> Self {
        Self {
            first: TimeDelta::milliseconds(200),
            longest: TimeDelta::seconds(60),
            attempts_before_attention: 10,
        }
    }
}

impl Retry {
    /// How long to wait after that many attempts.
    pub fn pause(&self, attempts: u32) -> TimeDelta {
        let doublings = attempts.saturating_sub(1).min(30);
        let pause_ms = self.first.num_milliseconds().saturating_mul(1 << doublings);
        TimeDelta::milliseconds(pause_ms.min(self.longest.num_milliseconds()))
    }

    /// How long to wait when it has been tried for `elapsed`: as long again, within the limits.
    pub fn pause_after(&self, elapsed: TimeDelta) -> TimeDelta {
        elapsed.clamp(self.first, self.longest.max(self.first))
    }
}
