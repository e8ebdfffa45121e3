//! Latency steps in the terminal: width, time, a bar, and where the steps end.

use std::fmt::Write;

use super::kernel_name::short;
use super::numbers::shape;
use super::visible::one_line;
use crate::profile::{Multiprocessors, Problem, Record, tail_free, waves};

/// Characters of the longest bar.
const BAR: f64 = 40.0;

/// Latency against output width of one layer; `●` marks tail-free widths, `◄` the present one.
pub fn latency_steps_text(
    name: &str,
    present: &Problem,
    records: &[&Record],
    device: Option<&Multiprocessors>,
) -> String {
    let mut records = records.to_vec();
    records.sort_by_key(|r| r.problem.cout);
    let rows: Vec<_> = records.iter().map(|r| (r.problem.cout, r.summary())).collect();
    let times: Vec<f64> = rows.iter().map(|(_, s)| s.median).collect();
    let noise = rows
        .iter()
        .map(|(_, s)| s.half_width() / s.median.max(1e-9))
        .fold(0.01, f64::max);
    let edges = tail_free(&times, noise.min(0.1));
    let longest = times.iter().copied().fold(0.0, f64::max);
    let mut text = format!(
        "\n{}: {} {} from {} channels at {}, batch {}, {}\n",
        one_line(name),
        present.op,
        shape(&present.kernel),
        present.cin,
        shape(&present.space),
        present.batch,
        present.dtype
    );
    let mut last = String::new();
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
        let ran = ran(records[i], device);
        if !ran.is_empty() && (i == 0 || ran != last) {
            let _ = writeln!(text, "         {ran}");
            last = ran;
        }
    }
    text
}

/// What ran: the longest kernel with its waves, or the CPU's memory layout.
fn ran(record: &Record, device: Option<&Multiprocessors>) -> String {
    if let (Some(kernel), Some(device)) = (record.facts.main_kernel(), device) {
        let w = waves(kernel, device);
        return format!(
            "{} · grid {:?} block {:?} · {} registers, {} B shared · {} blocks a multiprocessor, occupancy {:.0} % · \
             {} wave{}, the last {:.0} % used",
            short(&kernel.name),
            kernel.grid,
            kernel.block,
            kernel.registers,
            kernel.shared_bytes,
            w.resident,
            100.0 * w.occupancy,
            w.waves,
            if w.waves == 1 { "" } else { "s" },
            100.0 * w.last_use(),
        );
    }
    record.facts.layout.clone().unwrap_or_default()
}
