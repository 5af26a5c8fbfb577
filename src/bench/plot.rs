//! Small multiples as SVG: what was measured at several sizes, drawn by the command that measured it. The
//! background is opaque, so that it can be read on a light page and on a dark one.

use anyhow::{Context, Result, anyhow};
use plotters::{
    backend::SVGBackend,
    chart::{ChartBuilder, ChartContext, SeriesLabelPosition},
    coord::{Shift, cartesian::Cartesian2d, types::RangedCoordf64},
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, PathElement},
    series::LineSeries,
    style::{Color, IntoFont, RGBColor, ShapeStyle, WHITE},
};
use serde::Serialize;

use super::report::grouped;

/// How large one panel is, in pixels.
const PANEL: (u32, u32) = (440, 300);

const COLUMNS: usize = 2;

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);
const AIM: RGBColor = RGBColor(190, 60, 50);

/// Told apart also by who sees no red and green (Okabe and Ito).
const LINES: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(230, 159, 0), RGBColor(0, 158, 115)];

/// One thing at several sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Panel {
    /// What it is, with its unit.
    pub title: String,
    /// What it is to reach or to stay below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aim: Option<f64>,
    /// What is compared.
    pub lines: Vec<Line>,
}

/// One line of a panel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// What it is of.
    pub label: String,
    /// Events in the log, and what was measured then.
    pub points: Vec<(f64, f64)>,
}

impl Panel {
    /// Without lines yet.
    pub(super) fn new(title: impl Into<String>, aim: Option<f64>) -> Self {
        Self { title: title.into(), aim, lines: Vec::new() }
    }

    /// Adds a point to a line.
    pub(super) fn add(&mut self, label: &str, events: f64, value: f64) {
        match self.lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.points.push((events, value)),
            None => self.lines.push(Line { label: label.to_owned(), points: vec![(events, value)] }),
        }
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| line.points.iter().copied())
    }
}

/// Draws panels beside and below each other.
pub fn svg(panels: &[Panel]) -> Result<String> {
    let rows = panels.len().div_ceil(COLUMNS).max(1);
    let size = (PANEL.0 * u32::try_from(COLUMNS)?, PANEL.1 * u32::try_from(rows)?);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        for (panel, area) in panels.iter().zip(root.split_evenly((rows, COLUMNS))) {
            draw(panel, &area).with_context(|| format!("cannot draw {}", panel.title))?;
        }
        root.present().map_err(failed)?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn draw(panel: &Panel, area: &Area<'_>) -> Result<()> {
    let right = panel.points().map(|(events, _)| events).fold(1.0, f64::max) * 1.03;
    let top = panel.points().map(|(_, value)| value).chain(panel.aim).fold(0.0, f64::max) * 1.25;
    let top = if top > 0.0 { top } else { 1.0 };
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 15).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..right, 0.0..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(1)
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|events| in_millions(*events))
        .y_label_formatter(&|value| grouped((*value * 1e6).round() / 1e6))
        .x_desc("events in the log")
        .draw()
        .map_err(failed)?;
    if let Some(aim) = panel.aim {
        line(&mut chart, "aim", &[(0.0, aim), (right, aim)], AIM.stroke_width(1), 0)?;
    }
    for (of, color) in panel.lines.iter().zip(LINES.iter().cycle()) {
        line(&mut chart, &of.label, &of.points, color.stroke_width(2), 3)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .label_font(("sans-serif", 12).into_font().color(&INK))
        .draw()
        .map_err(failed)
}

fn line(
    chart: &mut Chart<'_, '_>,
    label: &str,
    points: &[(f64, f64)],
    style: ShapeStyle,
    dots: u32,
) -> Result<()> {
    let series = LineSeries::new(points.iter().copied(), style).point_size(dots);
    let annotation = chart.draw_series(series).map_err(failed)?;
    annotation.label(label).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
    let dot = ShapeStyle { filled: true, ..style };
    let circles = points.iter().map(|point| Circle::new(*point, dots, dot));
    chart.draw_series(circles.filter(|_| dots > 0)).map_err(failed)?;
    Ok(())
}

/// Numbers of events, short.
fn in_millions(events: f64) -> String {
    match events {
        events if events >= 1e6 => format!("{} M", (events / 1e5).round() / 10.0),
        events if events >= 1e3 => format!("{} k", (events / 1e3).round()),
        events => format!("{events:.0}"),
    }
}

/// Errors of the backend borrow what it writes to.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn panel(title: &str) -> Panel {
        let mut panel = Panel::new(title, Some(0.9));
        panel.add("64 writers", 0.0, 1.0);
        panel.add("1 writer", 0.0, 1.0);
        panel.add("64 writers", 2_000_000.0, 0.95);
        panel
    }

    #[test]
    fn points_of_one_label_are_one_line() {
        let lines: Vec<_> =
            panel("append").lines.into_iter().map(|line| (line.label, line.points.len())).collect();
        assert_eq!(lines, [("64 writers".to_owned(), 2), ("1 writer".to_owned(), 1)]);
    }

    #[test]
    fn a_plot_has_every_panel_with_its_lines_and_aim_on_an_opaque_ground() {
        let text = svg(&[panel("append"), panel("checkouts"), panel("a third")]).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
        assert!(text.contains(r#"width="880" height="600""#), "{text}");
        let ground = text.find("<rect").unwrap();
        assert!(text[ground..].starts_with(r#"<rect x="0" y="0" width="88"#), "{text}");
        for word in ["append", "checkouts", "a third", "64 writers", "1 writer", "aim", "2 M"] {
            assert!(text.contains(&format!("\n{word}\n")), "{word} in {text}");
        }
    }

    #[test]
    fn a_plot_of_nothing_is_a_plot() {
        assert!(svg(&[Panel::new("nothing", None)]).is_ok());
    }
}
