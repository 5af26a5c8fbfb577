//! Who comes to the demonstration and what they do. Planned from a seed before anything runs, so that
//! the same demonstration can be had twice.

use serde::Serialize;
use uuid::Uuid;

/// What a customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Buys, and the provider approves.
    Approved,
    /// Buys, and the provider approves by webhook alone.
    ApprovedByWebhook,
    /// The provider's first answer is lost; asked again, it approves.
    TimedOutThenApproved,
    /// The provider's first answer is lost; asked again, it declines.
    TimedOutThenDeclined,
    /// The provider declines.
    Declined,
    /// Wants the one thing of which there are too few.
    FlashSale,
    /// Calls the order off after it was confirmed.
    Cancelled,
    /// Keeps the order and gets part of the money back.
    PartlyRefunded,
    /// The order is handed over for delivery.
    Dispatched,
}

impl Kind {
    /// All kinds, with how many of a hundred customers are of each.
    const SHARES: [(Self, u64); 9] = [
        (Self::Approved, 30),
        (Self::ApprovedByWebhook, 6),
        (Self::TimedOutThenApproved, 8),
        (Self::TimedOutThenDeclined, 6),
        (Self::Declined, 10),
        (Self::FlashSale, 16),
        (Self::Cancelled, 8),
        (Self::PartlyRefunded, 8),
        (Self::Dispatched, 8),
    ];

    /// The test token that makes the sandbox provider behave so.
    pub fn payment_method(self) -> &'static str {
        match self {
            Self::Approved | Self::FlashSale | Self::Cancelled | Self::PartlyRefunded | Self::Dispatched => {
                "tok_approve"
            }
            Self::ApprovedByWebhook => "tok_webhook_only",
            Self::TimedOutThenApproved => "tok_timeout_then_approve",
            Self::TimedOutThenDeclined => "tok_timeout_then_decline",
            Self::Declined => "tok_decline",
        }
    }

    /// What a person reads.
    pub fn label(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::ApprovedByWebhook => "approved by webhook only",
            Self::TimedOutThenApproved => "timed out, later approved",
            Self::TimedOutThenDeclined => "timed out, later declined",
            Self::Declined => "declined",
            Self::FlashSale => "flash sale of too few units",
            Self::Cancelled => "cancelled after confirmation",
            Self::PartlyRefunded => "partly refunded",
            Self::Dispatched => "dispatched",
        }
    }
}

/// One customer's visit.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What they do.
    pub kind: Kind,
    /// The key under which they check out, however often they click.
    pub idempotency_key: String,
    /// SKU and units.
    pub lines: Vec<(&'static str, u32)>,
    /// Whether they click twice.
    pub double_click: bool,
}

/// What the shop sells: SKU, title and price in pence.
pub(super) const CATALOG: [(&str, &str, i64); 8] = [
    ("MUG-BLUE", "Mug, blue", 1250),
    ("MUG-RED", "Mug, red", 1250),
    ("TEAPOT", "Teapot for four", 3999),
    ("TEA-ASSAM", "Assam tea, 250 g", 875),
    ("TEA-MINT", "Mint tea, 100 g", 450),
    ("HONEY", "Heather honey", 699),
    ("SCONES", "Box of six scones", 520),
    ("TRAY", "Oak tray", 2800),
];

/// The thing that everybody wants, and how many of it there are for each demonstration.
pub(super) const FLASH: (&str, &str, i64, u32) = ("GOLDEN-TICKET", "Golden ticket", 9900, 10);

/// Plans the visits of one demonstration.
pub(super) fn plan(run: Uuid, checkouts: u64, seed: u64) -> Vec<Plan> {
    let mut dice = Dice(seed);
    let shares: Vec<Kind> = Kind::SHARES
        .iter()
        .flat_map(|(kind, share)| std::iter::repeat_n(*kind, usize::try_from(*share).unwrap_or(0)))
        .collect();
    (0..checkouts)
        .map(|number| {
            // Multiplying by a number that shares no factor with 100 visits every share in turn.
            let turn = usize::try_from(number * 37 % shares.len() as u64).unwrap_or(0);
            let kind = shares[turn];
            let lines = match kind {
                Kind::FlashSale => vec![(FLASH.0, 1)],
                Kind::Approved
                | Kind::ApprovedByWebhook
                | Kind::TimedOutThenApproved
                | Kind::TimedOutThenDeclined
                | Kind::Declined
                | Kind::Cancelled
                | Kind::PartlyRefunded
                | Kind::Dispatched => {
                    let first = dice.below(CATALOG.len() as u64);
                    (0..=dice.below(3))
                        .map(|step| {
                            let index =
                                usize::try_from((first + step * 3) % CATALOG.len() as u64).unwrap_or(0);
                            (CATALOG[index].0, 1 + u32::try_from(dice.below(3)).unwrap_or(0))
                        })
                        .collect()
                }
            };
            Plan {
                kind,
                idempotency_key: format!("demo-{run}-{number}"),
                lines,
                double_click: dice.below(10) == 0,
            }
        })
        .collect()
}

/// How many visits of each kind were planned.
pub(super) fn count(plans: &[Plan]) -> Vec<(Kind, u64)> {
    Kind::SHARES
        .iter()
        .map(|(kind, _)| (*kind, plans.iter().filter(|plan| plan.kind == *kind).count() as u64))
        .collect()
}

/// A small generator (SplitMix64): the demonstration has to be the same everywhere, not unpredictable.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_customers_are_of_every_kind() {
        let plans = plan(Uuid::nil(), 100, 7);
        assert!(
            count(&plans).iter().zip(Kind::SHARES).all(|((kind, count), share)| (*kind, *count) == share)
        );
    }
}
