//! What was measured, for people and for machines.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{Machine, plot::Panel, stages::Stages};
use crate::table::{number, table};

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(clippy::struct_field_names, reason = "the unit belongs to the name")]
pub struct Latency {
    /// Half took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// 999 of 1,000 took no longer.
    pub p999_ms: f64,
}

/// What the machine can do at best, measured in the same run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Floor {
    /// What was done.
    pub what: String,
    /// In the unit of the figure beside it.
    pub value: f64,
}

/// What a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// So many times the floor. This is what is promised everywhere.
    OfFloor(f64),
    /// So much; on two cores.
    AtLeast(f64),
    /// Exactly so much, everywhere.
    Exactly(f64),
    /// 99 of 100 within so many milliseconds; on two cores.
    P99Below(f64),
    /// Less than so much, everywhere.
    Below(f64),
    /// No more than so many times what it is held against.
    AtMostOf(f64),
}

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was done.
    pub what: String,
    /// How much of it.
    pub value: f64,
    /// Of what, as in `events/s`.
    pub unit: &'static str,
    /// How long each took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// The figure divided by the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What it is to reach, and whether it does.
    pub aims: Vec<(Aim, bool)>,
}

impl Figure {
    /// A figure that stands for itself.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, latency: None, floor: None, ratio: None, aims: Vec::new() }
    }

    /// With how long each took.
    #[must_use]
    pub fn taking(mut self, latency: Latency) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Held against what the machine can do at best.
    #[must_use]
    pub fn against(mut self, what: impl Into<String>, value: f64) -> Self {
        self.ratio = (value > 0.0).then(|| self.value / value);
        self.floor = Some(Floor { what: what.into(), value });
        self
    }

    /// Held against the same elsewhere, both measured in turn. The ratio is the median of those of
    /// neighbouring rounds, and not that of the two values.
    #[must_use]
    pub fn beside(mut self, what: impl Into<String>, value: f64, ratio: f64) -> Self {
        self.floor = Some(Floor { what: what.into(), value });
        self.ratio = Some(ratio);
        self
    }

    /// What it is to reach.
    #[must_use]
    pub fn aiming(mut self, aim: Aim) -> Self {
        #[allow(clippy::float_cmp, reason = "counts")]
        let reached = match aim {
            Aim::OfFloor(least) => self.ratio.is_some_and(|ratio| ratio >= least),
            Aim::AtLeast(least) => self.value >= least,
            Aim::Exactly(value) => self.value == value,
            Aim::P99Below(ms) => self.latency.is_some_and(|latency| latency.p99_ms < ms),
            Aim::Below(limit) => self.value < limit,
            Aim::AtMostOf(most) => self.ratio.is_some_and(|ratio| ratio <= most),
        };
        self.aims.push((aim, reached));
        self
    }
}

/// Everything that one run measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was measured.
    pub name: &'static str,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// How long each single measurement took, in seconds.
    pub seconds: f64,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What else there is to know.
    pub remarks: Vec<String>,
    /// Where the time goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stages>,
    /// What was measured at several sizes, to be drawn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub panels: Vec<Panel>,
}

impl Report {
    pub(super) fn new(name: &'static str, each: Duration) -> Self {
        let seconds = each.as_secs_f64();
        Self {
            name,
            machine: None,
            seconds,
            figures: Vec::new(),
            remarks: Vec::new(),
            stages: Vec::new(),
            panels: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    pub(super) fn remark(&mut self, remark: impl Into<String>) {
        self.remarks.push(remark.into());
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {} / {}", short(self.p50_ms), short(self.p99_ms), short(self.p999_ms))
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfFloor(ratio) => write!(f, "≥ {ratio} ×"),
            Self::AtLeast(value) => write!(f, "≥ {}", grouped(*value)),
            Self::Exactly(value) => write!(f, "= {}", grouped(*value)),
            Self::P99Below(ms) => write!(f, "p99 < {ms} ms"),
            Self::Below(limit) => write!(f, "< {}", grouped(*limit)),
            Self::AtMostOf(ratio) => write!(f, "≤ {ratio} ×"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(machine) = &self.machine {
            writeln!(f, "{}: {machine}", self.name)?;
        }
        let mut rows = table(["", "figure", "p50 / p99 / p99.9 ms", "the machine", "ratio", "to reach", ""]);
        for figure in &self.figures {
            let latency = figure.latency.map(|took| took.to_string());
            let floor = figure.floor.as_ref();
            let aims: Vec<_> = figure.aims.iter().map(|(aim, _)| aim.to_string()).collect();
            let reached = figure.aims.iter().all(|(_, reached)| *reached);
            let verdict = match (figure.aims.is_empty(), reached) {
                (true, _) => "",
                (false, true) => "reached",
                (false, false) => "MISSED",
            };
            rows.add_row([
                figure.what.as_str().into(),
                number(format!("{} {}", grouped(figure.value), figure.unit)),
                number(latency.unwrap_or_default()),
                number(
                    floor.map(|floor| format!("{} {}", grouped(floor.value), floor.what)).unwrap_or_default(),
                ),
                number(figure.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default()),
                aims.join(", ").into(),
                verdict.into(),
            ]);
        }
        writeln!(f, "{rows}")?;
        for stages in &self.stages {
            let mut rows = table([stages.what.as_str(), "p50 / p99 / p99.9 ms"]);
            for stage in &stages.stages {
                rows.add_row([stage.what.into(), number(stage.latency)]);
            }
            writeln!(f, "{rows}")?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "{remark}"))
    }
}

/// A number with its thousands set apart; with a digit behind the point where it is small.
pub(super) fn grouped(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// Milliseconds, as precise as they are worth.
fn short(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_misses_one_of_its_aims_is_said_to_miss() {
        let mut report = Report::new("append", Duration::from_secs(1));
        let latency = Latency { p50_ms: 1.0, p99_ms: 12.0, p999_ms: 20.0 };
        let figure = Figure::new("64 writers", 21_000.0, "events/s").taking(latency);
        report.add(
            figure.against("single rows", 10_000.0).aiming(Aim::OfFloor(2.0)).aiming(Aim::P99Below(10.0)),
        );
        let text = report.to_string();
        assert!(
            text.contains("21,000 events/s") && text.contains("2.10") && text.contains("MISSED"),
            "{text}"
        );
        assert_eq!(report.figures[0].aims, [(Aim::OfFloor(2.0), true), (Aim::P99Below(10.0), false)]);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(-1_000.0), "-1,000");
        assert_eq!(grouped(7.25), "7.2");
    }
}
