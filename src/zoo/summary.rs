//! What came out of a zoo.

use std::path::Path;

use serde::Serialize;

use super::counts::ModelCounts;
use super::entry::{JournalEntry, State};
use super::failure::FailureKind;
use crate::plan::Metric;

/// Totals.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Models.
    pub models: usize,
    /// With a faster model written.
    pub written: usize,
    /// With a plan written.
    pub planned: usize,
    /// That stay as they are.
    pub declined: usize,
    /// That did not work, by kind.
    pub failed: std::collections::BTreeMap<FailureKind, usize>,
    /// With something left to do.
    pub pending: usize,
    /// Sum of the median latencies of all models that were timed, milliseconds: of the originals, and of what to deploy.
    pub latency_ms: (f64, f64),
    /// Geometric mean of the ratios of the models that were written.
    pub ratio: Option<f64>,
    /// Channels that came or went.
    pub channels_moved: usize,
    /// Problems.
    pub probes: ProbeTotals,
    /// Seconds of work on models, over all runs' last attempts.
    pub seconds: f64,
}

/// Counts of problems.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProbeTotals {
    /// What the models take one by one, each from nothing.
    pub one_by_one: usize,
    /// Timed for the zoo: in the profile phase, and for single models after it.
    pub timed: usize,
    /// Known before the zoo began.
    pub known_before: usize,
    /// Spared: because models share problems, no choice rests on them, or like ones were slow.
    pub saved: usize,
    /// `timed` over `one_by_one`.
    pub share: Option<f64>,
    /// Could not be timed.
    pub failed: usize,
}

/// The report.
#[derive(Clone, Debug, Serialize)]
pub struct ZooSummary {
    /// The version of this format: 1.
    pub schema_version: u32,
    /// What made it.
    pub tool: Tool,
    /// The device and its software.
    pub device: Option<String>,
    /// Totals.
    pub totals: Totals,
    /// Seconds of the last run.
    pub wall_seconds: f64,
    /// All models, in the order of their names.
    pub models: Vec<JournalEntry>,
}

/// Name and version.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// The name.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
}

/// Sums up.
pub fn summary(out: &Path, device: Option<String>, models: Vec<JournalEntry>, wall_seconds: f64) -> ZooSummary {
    let count = |state| models.iter().filter(|e| e.state == state).count();
    let mut totals = Totals {
        models: models.len(),
        written: count(State::Written),
        planned: count(State::Planned),
        declined: count(State::Declined),
        pending: models.iter().filter(|e| !e.state.is_finished()).count(),
        seconds: models.iter().map(|e| e.seconds).sum(),
        ..Totals::default()
    };
    let counts = ModelCounts::of_all(out);
    totals.probes.timed = counts.made;
    totals.probes.failed = counts.failed;
    let mut ratios = Vec::new();
    for entry in &models {
        if let Some(failure) = entry.failure {
            *totals.failed.entry(failure).or_insert(0) += 1;
        }
        let Some(numbers) = &entry.numbers else { continue };
        if let Some((before, after)) = numbers.latency_ms {
            totals.latency_ms.0 += before;
            totals.latency_ms.1 += if entry.state == State::Written { after } else { before };
        }
        totals.probes.one_by_one += numbers.probes.0 + numbers.probes.1 + numbers.probes_pruned;
        totals.probes.timed += numbers.probes.0;
        if matches!(entry.state, State::Written | State::Planned) {
            totals.channels_moved += numbers.channels_moved();
        }
        if entry.state == State::Written {
            ratios.extend(numbers.ratio.map(|r| r.0));
        }
    }
    if !ratios.is_empty() {
        let mean = ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64;
        totals.ratio = Some(mean.exp());
    }
    let probes = &mut totals.probes;
    probes.known_before = counts.known;
    probes.saved = probes.one_by_one.saturating_sub(probes.timed + probes.known_before);
    probes.share = (probes.one_by_one > 0).then(|| probes.timed as f64 / probes.one_by_one as f64);
    ZooSummary {
        schema_version: 1,
        tool: Tool {
            name: "snapprune",
            version: env!("CARGO_PKG_VERSION"),
        },
        device,
        totals,
        wall_seconds,
        models,
    }
}

/// The models as a table for spreadsheets: a head line, and a line each.
pub fn csv(summary: &ZooSummary) -> String {
    const HEAD: &str = "name,model,state,trouble,reason,latency_ms_before,latency_ms_after,ratio,ratio_noise,predicted_ratio,\
        ratio_dynamic,max_abs_diff,max_rel_diff,top1_before,top1_after,agreement,\
        COUNTED,widths_moved,channels_moved,probes_timed,probes_known,probes_spared,seconds,attempts,plan";
    let counted = Metric::counted().map(|m| format!("{0}_before,{0}_after", m.key()));
    let head = HEAD.replace("COUNTED", &counted.collect::<Vec<_>>().join(","));
    let mut text = format!("{head}\n");
    for e in &summary.models {
        let n = e.numbers.clone().unwrap_or_default();
        let number = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
        let known = e.numbers.is_some();
        let whole = |v: usize| if known { v.to_string() } else { String::new() };
        let mut cells = vec![
            quoted(&e.name),
            quoted(&e.model.to_string_lossy()),
            word(e.state).to_owned(),
            e.failure.map_or(String::new(), |t| t.word().to_owned()),
            quoted(e.reason.as_deref().unwrap_or_default()),
            number(n.latency_ms.map(|l| l.0)),
            number(n.latency_ms.map(|l| l.1)),
            number(n.ratio.map(|r| r.0)),
            number(n.ratio.map(|r| r.1)),
            number(n.predicted_ratio),
            number(n.ratio_dynamic),
            number(n.max_abs_diff),
            number(n.max_rel_diff),
            number(n.top1.map(|t| t.0)),
            number(n.top1.map(|t| t.1)),
            number(n.agreement),
        ];
        for (before, after) in Metric::counted().map(|m| n.counted[m]) {
            cells.extend([before, after].map(|v| whole(v as usize)));
        }
        cells.extend([
            whole(n.moved.len()),
            whole(n.channels_moved()),
            whole(n.probes.0),
            whole(n.probes.1),
            whole(n.probes_pruned),
            format!("{:.3}", e.seconds),
            e.attempts.to_string(),
            e.plan.clone().unwrap_or_default(),
        ]);
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

/// A state in a word.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Collected => "collected",
        State::Running => "running",
        State::Written => "written",
        State::Planned => "planned",
        State::Declined => "declined",
        State::Failed => "failed",
    }
}

/// A cell that may hold commas, quotation marks or line ends.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{csv, summary};
    use crate::zoo::{FailureKind, JournalEntry, Moved, Numbers, State};

    #[test]
    fn totals_add_up_and_cells_stay_cells() {
        let folder = tempfile::tempdir().unwrap();
        let model = |name: &str, state, latency_ms, ratio, probes| JournalEntry {
            name: name.into(),
            state,
            numbers: Some(Numbers {
                latency_ms,
                ratio,
                probes,
                moved: vec![Moved {
                    layer: "c".into(),
                    before: 9,
                    after: 16,
                }],
                ..Numbers::default()
            }),
            ..JournalEntry::default()
        };
        let failed = JournalEntry {
            name: "c, the \"third\"".into(),
            state: State::Failed,
            failure: Some(FailureKind::Input),
            reason: Some("two\nlines".into()),
            ..JournalEntry::default()
        };
        let models = vec![
            model("a", State::Written, Some((4.0, 2.0)), Some((0.5, 0.01)), (3, 7)),
            model("b", State::Declined, Some((1.0, 1.2)), Some((1.2, 0.01)), (0, 10)),
            failed,
        ];
        let found = summary(folder.path(), None, models, 1.0);
        let t = &found.totals;
        assert_eq!(
            (t.models, t.written, t.declined, t.failed[&FailureKind::Input]),
            (3, 1, 1, 1)
        );
        assert_eq!((t.latency_ms, t.channels_moved, t.ratio), ((5.0, 3.0), 7, Some(0.5)));
        assert_eq!((t.probes.one_by_one, t.probes.timed, t.probes.saved), (20, 3, 17));
        let text = csv(&found);
        assert!(
            text.lines().nth(1).unwrap().starts_with("a,,written,,,4,2,0.5,0.01,"),
            "{text}"
        );
        assert!(
            text.contains("\"c, the \"\"third\"\"\",,failed,bad input,\"two\nlines\","),
            "{text}"
        );
        let columns = |line: &str| line.split(',').count();
        assert_eq!(
            columns(text.lines().next().unwrap()),
            columns(text.lines().nth(1).unwrap())
        );
    }
}
