//! The same thing measured in two ways in turn, round after round. Machines drift by a third within an hour:
//! what is compared are neighbours, and of their ratios the median counts.

use anyhow::Result;

/// What came of all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Compared {
    /// The median of the first way.
    pub(super) plain: f64,
    /// The median of the second way.
    pub(super) other: f64,
    /// The median of second by first.
    pub(super) ratio: f64,
}

/// Which way it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The one that it is held against.
    Plain,
    /// The one in question.
    Other,
}

/// Measures `rounds` times each way, and begins with the other one each time.
pub(super) async fn alternate(
    rounds: usize,
    mut measure: impl AsyncFnMut(Way) -> Result<f64>,
) -> Result<Compared> {
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..rounds.max(1) {
        pairs.push(if round.is_multiple_of(2) {
            let plain = measure(Way::Plain).await?;
            (plain, measure(Way::Other).await?)
        } else {
            let other = measure(Way::Other).await?;
            (measure(Way::Plain).await?, other)
        });
    }
    let ratio = |(plain, other): &(f64, f64)| if *plain > 0.0 { other / plain } else { 0.0 };
    Ok(Compared {
        plain: median(pairs.iter().map(|(plain, _)| *plain).collect()),
        other: median(pairs.iter().map(|(_, other)| *other).collect()),
        ratio: median(pairs.iter().map(ratio).collect()),
    })
}

/// The one in the middle; of two there the higher one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_ratio_is_that_of_neighbours_whatever_the_machine_does_meanwhile() {
        // Each measurement of the other way is nine tenths of its neighbour, while the machine gets slower.
        let mut order = Vec::new();
        let compared = alternate(5, async |way| {
            order.push(way);
            let speed = 1_000.0 / f64::from(u32::try_from(order.len().div_ceil(2)).unwrap());
            Ok(if way == Way::Plain { speed } else { speed * 0.9 })
        });
        let compared = compared.await.unwrap();
        assert!((compared.ratio - 0.9).abs() < 1e-9, "{compared:?}");
        assert!((compared.plain - 1_000.0 / 3.0).abs() < 1e-9, "{compared:?}");
        assert_eq!(order[..4], [Way::Plain, Way::Other, Way::Other, Way::Plain]);
    }

    #[test]
    fn one_round_out_of_the_ordinary_does_not_count() {
        assert!((median(vec![0.1, 1.0, 0.98, 1.01, 7.0]) - 1.0).abs() < 1e-9);
    }
}
