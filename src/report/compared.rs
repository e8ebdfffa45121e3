//! Models side by side, for people.

use super::table::{shorten, table};
use crate::verify::{Entry, Verdict};

/// Latencies of models side by side.
pub fn bench_table(names: &[String], entries: &[Entry]) -> String {
    let mut rows = table(
        &["model", "min ms", "median ms", "MAD", "p95 ms", "ratio", ""],
        &[1, 2, 3, 4, 5],
    );
    for (k, (name, entry)) in names.iter().zip(entries).enumerate() {
        let s = entry.summary();
        let verdict = match (k, entry.verdict()) {
            (0, _) => "the first",
            (_, Verdict::Faster) => "faster",
            (_, Verdict::Same) => "within the noise",
            (_, Verdict::Slower) => "slower",
        };
        let ratio = if k == 0 {
            "1".to_owned()
        } else {
            format!("{:.3} ± {:.3}", entry.ratio(), entry.ratio_noise())
        };
        rows.add_row([
            shorten(name, 48),
            format!("{:.3}", s.min),
            format!("{:.3}", s.median),
            format!("{:.3}", s.mad),
            format!("{:.3}", s.p95),
            ratio,
            verdict.to_owned(),
        ]);
    }
    let n = entries.first().map_or(0, |l| l.samples.len());
    format!("{rows}\n{n} interleaved runs each, in 3 sets of fresh sessions\n")
}
