//! The curve of plans: a table for people, a plot for pages.

use plotters::prelude::*;

use super::table::table;
use crate::optimize::ParetoRow;
use crate::plan::Metric;
use crate::{Error, Result};

/// Rows of the curve; `*` marks those that were measured.
pub fn pareto_text(rows: &[ParetoRow]) -> String {
    let mut head = vec![""];
    head.extend(Metric::ALL.map(Metric::title));
    head.extend(["loss", "groups", "measured", "held out", "top-1", "agreement"]);
    let numbers: Vec<usize> = (1..head.len()).collect();
    let mut shown = table(&head, &numbers);
    let percent = |v: Option<f64>| v.map_or(String::new(), |v| format!("{:.2} %", 100.0 * v));
    for row in rows {
        let m = row.measured.as_ref();
        let mut cells = vec![if m.is_some() { "*" } else { "" }.to_owned()];
        cells.extend(Metric::ALL.map(|metric| format!("{:.3}x", row.shares[metric])));
        cells.extend([
            format!("{:.4}", row.loss),
            row.groups.to_string(),
            m.map_or(String::new(), |m| format!("{:.3}x", m.latency)),
            m.and_then(|m| m.held_out_loss)
                .map_or(String::new(), |l| format!("{l:.4}")),
            percent(m.and_then(|m| m.top1).map(|t| t.1)),
            percent(m.and_then(|m| m.agreement.or(m.held_out_agreement))),
        ]);
        shown.add_row(cells);
    }
    format!("{shown}\n")
}

/// The curve as an SVG image: predicted loss against latency, with what was measured beside it.
///
/// # Errors
/// When there is nothing to draw.
pub fn pareto_svg(rows: &[ParetoRow], title: &str) -> Result<String> {
    let mut image = String::new();
    draw(rows, title, &mut image).map_err(|e| Error::Plan(format!("the curve cannot be drawn: {e}")))?;
    Ok(image)
}

fn draw(rows: &[ParetoRow], title: &str, image: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let measured = || rows.iter().filter_map(|r| r.measured.as_ref());
    // Axes without an end are never drawn to their end.
    let finite = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let predicted = rows.iter().map(|r| (r.shares[Metric::Latency], r.loss)).filter(finite);
    let held_out = measured()
        .filter_map(|m| Some((m.latency, m.held_out_loss?)))
        .filter(finite);
    let all: Vec<(f64, f64)> = predicted.clone().chain(held_out.clone()).collect();
    let least = all.iter().map(|p| p.0).fold(1.0, f64::min);
    let most = all.iter().map(|p| p.0).fold(1.0, f64::max);
    let highest = all.iter().map(|p| p.1).fold(0.0, f64::max).max(1e-6);
    let area = SVGBackend::with_string(image, (760, 440)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((least - 0.02)..(most + 0.02), 0.0..highest * 1.05)?;
    chart
        .configure_mesh()
        .x_desc("latency, of the original's")
        .y_desc("loss")
        .light_line_style(WHITE)
        .draw()?;
    let blue = RGBColor(31, 97, 168);
    let red = RGBColor(192, 57, 43);
    chart
        .draw_series(LineSeries::new(predicted.clone(), blue.stroke_width(2)))?
        .label("predicted")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], blue));
    chart.draw_series(predicted.map(|p| Circle::new(p, 2, blue.filled())))?;
    chart
        .draw_series(held_out.map(|p| Circle::new(p, 5, red.filled())))?
        .label("measured, on samples held out")
        .legend(move |(x, y)| Circle::new((x + 9, y), 4, red.filled()));
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::pareto_svg;
    use crate::optimize::ParetoRow;
    use crate::plan::{Metric, PerMetric};

    #[test]
    fn a_point_that_is_no_number_is_left_out_of_the_picture() {
        let row = |latency, loss| ParetoRow {
            shares: PerMetric::from_fn(|m| if m == Metric::Latency { latency } else { 1.0 }),
            loss,
            groups: 0,
            measured: None,
        };
        let fine = [row(1.0, 0.0), row(0.5, 1.0)];
        let odd = [
            row(1.0, 0.0),
            row(f64::NAN, 2.0),
            row(0.5, 1.0),
            row(0.4, f64::INFINITY),
        ];
        let drawn = |rows: &[ParetoRow]| pareto_svg(rows, "losses").ok();
        assert!(drawn(&fine).is_some() && drawn(&odd) == drawn(&fine));
    }
}
