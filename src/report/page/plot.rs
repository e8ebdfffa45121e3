//! Plots for the page: SVG whose colours are the page's own, so that they follow its light or dark theme.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::optimize::{ChosenPoint, LatencySteps, ParetoRow};
use crate::plan::Metric;

/// What stands in a plot for each of the page's colours, until they are put in.
const INK: RGBColor = RGBColor(0, 0, 1);
const MUTED: RGBColor = RGBColor(0, 0, 2);
const LINE: RGBColor = RGBColor(0, 0, 3);
const BEFORE: RGBColor = RGBColor(0, 0, 4);
const AFTER: RGBColor = RGBColor(0, 0, 5);
const NAMES: [&str; 5] = ["ink", "muted", "line", "before", "after"];

const SIZE: (u32, u32) = (340, 210);

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An image of `SIZE` with a text that says what it shows; empty where it cannot be drawn.
fn image(about: &str, draw: impl FnOnce(&Area) -> Drawn) -> String {
    image_of(SIZE, about, draw)
}

/// The same of another size.
fn image_of(size: (u32, u32), about: &str, draw: impl FnOnce(&Area) -> Drawn) -> String {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    if drawn.is_err() {
        return String::new();
    }
    for (k, name) in NAMES.iter().enumerate() {
        svg = svg.replace(&format!("\"#00000{}\"", k + 1), &format!("\"var(--{name})\""));
    }
    let escaped = about.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{escaped}\" "), 1)
        .replace("></circle>", "/>")
}

/// Axes from `x.0` to `x.1` and from 0 to `top`.
macro_rules! axes {
    ($area:expr, $x:expr, $top:expr, $bottom:expr, $side:expr, $from:expr, $down:expr) => {{
        let mut chart = ChartBuilder::on($area)
            .margin(6)
            .margin_right(14)
            .x_label_area_size(34)
            .y_label_area_size(52)
            .build_cartesian_2d($x.0..$x.1, 0.0..$top)?;
        let text = ("sans-serif", 11).into_font().color(&MUTED);
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(5)
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE)
            .axis_style(LINE)
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_label_formatter(&$from)
            .y_label_formatter(&$down)
            .x_desc($bottom)
            .y_desc($side)
            .draw()?;
        chart
    }};
}

/// Latency steps as a picture by itself, in the light theme's colours.
pub fn latency_steps_svg(s: &LatencySteps, about: &str) -> String {
    let fixed = [
        ("paper", "#ffffff"),
        ("ink", "#1b1f24"),
        ("muted", "#586069"),
        ("line", "#d5dbe1"),
        ("before", "#1f61a8"),
        ("after", "#a8480a"),
    ];
    let svg = fixed.iter().fold(latency_steps(s, about), |svg, (name, color)| {
        svg.replace(&format!("var(--{name})"), color)
    });
    svg.replacen('>', "><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>", 1)
}

/// Time against output width of one layer.
pub(super) fn latency_steps(s: &LatencySteps, about: &str) -> String {
    image(about, |area| {
        let steps = || s.curves.iter().flat_map(|c| &c.steps);
        let least = steps().map(|p| p.cout).min().unwrap_or(0) as f64;
        let most = steps().map(|p| p.cout).max().unwrap_or(1) as f64;
        let top = steps().map(|p| p.ms).fold(1e-6, f64::max) * 1.1;
        let edge = ((most - least) * 0.04).max(0.5);
        let digits = (2.0 - top.log10().floor()).clamp(1.0, 5.0) as usize;
        let mut chart = axes!(
            area,
            (least - edge, most + edge),
            top,
            "output channels",
            "ms",
            |v: &f64| format!("{v:.0}"),
            |v: &f64| format!("{v:.digits$}")
        );
        for (k, curve) in s.curves.iter().enumerate() {
            let color = if k == 0 { BEFORE } else { AFTER };
            let points = || curve.steps.iter().map(|p| (p.cout as f64, p.ms));
            chart.draw_series(LineSeries::new(points(), color.stroke_width(2)))?;
            let ends = curve.steps.iter().filter(|p| p.tail_free);
            chart.draw_series(ends.map(|p| Circle::new((p.cout as f64, p.ms), 3, color.filled())))?;
        }
        let at = |curve: Option<&crate::optimize::LatencyCurve>, cout: usize| {
            let step = curve?.steps.iter().find(|p| p.cout == cout)?;
            Some((cout as f64, step.ms))
        };
        let before = at(s.curves.first(), s.problem.cout);
        chart.draw_series(before.map(|p| Circle::new(p, 6, BEFORE.stroke_width(2))))?;
        let moved = (s.problem.cin, s.problem.cout) != s.after;
        let after = at(s.curve_after(), s.after.1).filter(|_| moved);
        chart.draw_series(after.map(|p| Circle::new(p, 5, AFTER.filled())))?;
        Ok(())
    })
}

/// Loss against latency of the plans that lose least, and the one that was chosen.
pub(super) fn pareto(rows: &[ParetoRow], chosen: Option<&ChosenPoint>, about: &str) -> String {
    image(about, |area| {
        // Axes without an end are never drawn to their end.
        let predicted = || {
            let points = rows.iter().map(|r| (r.shares[Metric::Latency], r.loss));
            points.filter(|p| p.0.is_finite() && p.1.is_finite())
        };
        let finite = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
        let made = chosen
            .and_then(|c| Some((c.measured?, c.held_out_loss.unwrap_or(c.loss))))
            .filter(finite);
        let wished = chosen.map(|c| (c.latency, c.loss)).filter(finite);
        let all = || predicted().chain(made).chain(wished);
        let least = all().map(|p| p.0).fold(1.0, f64::min);
        let most = all().map(|p| p.0).fold(1.0, f64::max);
        // The far end of the curve is steep: what matters is around the chosen plan.
        let top = wished.into_iter().chain(made).map(|p| p.1 * 4.0).reduce(f64::max);
        let highest = predicted().map(|p| p.1).fold(1e-9, f64::max);
        let top = top.map_or(highest, |t| t.clamp(1e-9, highest.max(1e-9))) * 1.1;
        let digits = (1.0 - top.log10().floor()).clamp(1.0, 7.0) as usize;
        let mut chart = axes!(
            area,
            (least - 0.02, most + 0.02),
            top,
            "latency, of the original's",
            "loss",
            |v: &f64| format!("{v:.1}"),
            |v: &f64| format!("{v:.digits$}")
        );
        let shown: Vec<(f64, f64)> = predicted().filter(|p| p.1 <= top).collect();
        chart.draw_series(LineSeries::new(shown.clone(), BEFORE.stroke_width(2)))?;
        chart.draw_series(shown.into_iter().map(|p| Circle::new(p, 2, BEFORE.filled())))?;
        chart.draw_series(wished.map(|p| Circle::new(p, 6, INK.stroke_width(2))))?;
        chart.draw_series(made.map(|p| Circle::new(p, 5, AFTER.filled())))?;
        Ok(())
    })
}

/// A line of a timeline.
pub(super) struct Line<'a> {
    /// A value for each frame.
    pub values: &'a [f64],
    /// Whether it is what is compared with.
    pub reference: bool,
}

/// Values of the frames of a sequence; the axis reaches to `least` at least.
pub(super) fn timeline(lines: &[Line], side: &str, least: f64, about: &str) -> String {
    image_of(WIDE, about, |area| {
        let frames = lines.iter().map(|l| l.values.len()).max().unwrap_or(0).max(2);
        let all = || lines.iter().flat_map(|l| l.values).copied().filter(|v| v.is_finite());
        let top = all().fold(least, f64::max) * 1.1;
        let digits = (1.0 - top.log10().floor()).clamp(0.0, 6.0) as usize;
        let mut chart = axes!(
            area,
            (0.0, frames as f64),
            top,
            "frame",
            side,
            |v: &f64| format!("{v:.0}"),
            |v: &f64| format!("{v:.digits$}")
        );
        for line in lines {
            let color = if line.reference { BEFORE } else { AFTER };
            // A frame lasts until the next one.
            let steps = line.values.iter().enumerate().filter(|(_, v)| v.is_finite());
            let steps = steps.flat_map(|(k, v)| [(k as f64, *v), ((k + 1) as f64, *v)]);
            chart.draw_series(LineSeries::new(
                steps,
                color.stroke_width(if line.reference { 1 } else { 2 }),
            ))?;
        }
        Ok(())
    })
}

/// The size of a timeline.
const WIDE: (u32, u32) = (960, 190);
