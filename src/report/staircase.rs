//! A staircase in the terminal: width, time, a bar, and where the steps end.

use std::fmt::Write;

use crate::profile::{Problem, Record, tail_free};

/// Characters of the longest bar.
const BAR: f64 = 40.0;

/// Latency against output width of one layer; `●` marks tail-free widths, `◄` the present one.
pub fn staircase_text(name: &str, present: &Problem, records: &[&Record]) -> String {
    let mut rows: Vec<_> = records.iter().map(|r| (r.problem.cout, r.summary())).collect();
    rows.sort_by_key(|(width, _)| *width);
    let times: Vec<f64> = rows.iter().map(|(_, s)| s.median).collect();
    let noise = rows
        .iter()
        .map(|(_, s)| s.half_width() / s.median.max(1e-9))
        .fold(0.01, f64::max);
    let edges = tail_free(&times, noise.min(0.1));
    let longest = times.iter().copied().fold(0.0, f64::max);
    let shape = |extents: &[usize]| extents.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
    let mut text = format!(
        "\n{name}: {} {} from {} channels at {}, batch {}, {}\n",
        present.op,
        shape(&present.kernel),
        present.cin,
        shape(&present.space),
        present.batch,
        present.dtype
    );
    for (i, (width, s)) in rows.iter().enumerate() {
        let bar = "█".repeat((BAR * s.median / longest.max(1e-9)).round() as usize);
        let edge = if edges.contains(&i) { "●" } else { " " };
        let here = if *width == present.cout { " ◄" } else { "" };
        let spread = s.mad / s.median.max(1e-9);
        let noisy = if spread > 0.025 {
            format!("  ±{:.0} %", 100.0 * spread)
        } else {
            String::new()
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{width:6} {edge} {:9.4} ms {bar}{here}{noisy}", s.median);
    }
    text
}
