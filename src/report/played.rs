//! A sequence that was played, for people and for programs.

use serde_json::{Value, json};

use super::table::table;
use crate::device::DeviceInfo;
use crate::playback::Timeline;
use crate::verify::{TaskNumber, Verdict};
use crate::video::Manifest;

/// A sequence that was played, as JSON.
pub fn timeline_json(device: &DeviceInfo, manifest: &Manifest, shares: &[f64], timeline: &Timeline) -> Value {
    let number = |n: &TaskNumber| {
        let of = json!({"agreement": n.agreement, "labels": n.labelled});
        (n.name.clone(), of)
    };
    json!({
        "schema_version": 1,
        "device": device,
        "threshold": manifest.threshold,
        "limit": manifest.limit,
        "shares": shares,
        "frames": timeline.frames,
        "mean_changed": timeline.mean_changed(),
        "mean_ms": timeline.mean_ms(),
        "original_ms": timeline.original_ms(),
        "ratio": timeline.ratio(),
        "ratio_noise": timeline.ratio_noise(),
        "faster": timeline.verdict() == Verdict::Faster,
        "metrics": timeline.numbers.iter().map(number).collect::<serde_json::Map<_, _>>(),
    })
}

/// The same as lines for a terminal.
pub fn timeline_text(timeline: &Timeline) -> String {
    let mut rows = table(
        &["frames that took", "frames", "mean ms", "of the original's"],
        &[1, 2, 3],
    );
    let original = timeline.original_ms();
    for taken in timeline.taken() {
        rows.add_row(vec![
            taken.name,
            taken.frames.to_string(),
            format!("{:.3}", taken.mean_ms),
            format!("{:.2}", taken.mean_ms / original.max(1e-12)),
        ]);
    }
    let numbers = timeline.numbers.iter().map(|n| format!("{}\n", number_text(n)));
    format!(
        "{rows}\n{}\n{}",
        timeline_summary(timeline),
        numbers.collect::<String>()
    )
}

/// What came out, as a sentence.
pub(super) fn timeline_summary(timeline: &Timeline) -> String {
    let verdict = match timeline.verdict() {
        Verdict::Faster => "faster",
        Verdict::Same => "no difference beyond the noise",
        Verdict::Slower => "slower",
    };
    format!(
        "{} frames, {:.1} % of the tiles changed: {:.3} ms a frame, the original {:.3} ms: {:.2} ± {:.2} of it, {verdict}",
        timeline.frames.len(),
        100.0 * timeline.mean_changed(),
        timeline.mean_ms(),
        timeline.original_ms(),
        timeline.ratio(),
        timeline.ratio_noise(),
    )
}

/// A number of the task.
pub(super) fn number_text(number: &TaskNumber) -> String {
    let agreement = number.agreement.map(|n| format!("{n:.4} by the original's answers"));
    let labelled = number
        .labelled
        .map(|(before, after)| format!("{before:.4} → {after:.4} by the labels"));
    let told: Vec<String> = agreement.into_iter().chain(labelled).collect();
    format!("{}: {}", number.name, told.join(", "))
}
