//! The result of the main job, for people.

use std::fmt::Write;

use super::ahead::goals_ahead_text;
use super::calibrated::{agreement_text, samples_text};
use super::noise::{noise_text, unsteady_text};
use super::numbers::{amount, big};
use super::table::{list, shorten, table};
use crate::optimize::{Counted, Dynamic, Outcome};
use crate::plan::Metric;
use crate::verify::{MetricScores, Task, TaskNumber};

/// What a model takes of a counted metric, before and after.
fn counted_text(metric: Metric, counted: Counted) -> String {
    let (before, after) = (amount(metric, counted.before), amount(metric, counted.after));
    match metric {
        Metric::Macs => format!("MACs      {before} → {after} a sample"),
        other => format!("{} {before} → {after}", other.name()),
    }
}

/// Which groups and blocks are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Those that change.
    Changed,
    /// Also those that stay.
    All,
}

/// The result of the main job.
pub fn outcome_text(outcome: &Outcome, listed: Listed) -> String {
    let mut text = String::new();
    let mut rows = table(&["group", "layers", "width", "", "why", "layers ms"], &[0, 2]);
    let mut shown = 0;
    for g in &outcome.groups {
        if listed == Listed::Changed && g.before == g.after {
            continue;
        }
        shown += 1;
        let after = if g.before == g.after {
            String::new()
        } else {
            format!("→ {}", g.after)
        };
        let ms = g.layers_ms.map_or(String::new(), |(a, b)| format!("{a:.3} → {b:.3}"));
        rows.add_row([
            g.id.to_string(),
            list(&g.layers),
            g.before.to_string(),
            after,
            g.reason.clone(),
            ms,
        ]);
    }
    if shown > 0 {
        let _ = writeln!(text, "{rows}");
    }
    if let Some(what) = broadcasts_text(outcome) {
        let _ = writeln!(text, "broadcast {what}");
    }
    let branches = outcome.branches_removed();
    if !branches.is_empty() {
        let _ = writeln!(text, "branches  {} gone: {}", branches.len(), list(branches));
    }
    if let (Some((before, after)), Some((ratio, noise))) = (&outcome.latency, outcome.ratio) {
        let _ = writeln!(
            text,
            "latency   {:.3} ms ± {:.3} → {:.3} ms ± {:.3}   ratio {ratio:.3} ± {noise:.3} (interleaved medians, {} runs each)",
            before.median, before.mad, after.median, after.mad, before.n
        );
    }
    if let Some(predicted) = outcome.predicted_ratio() {
        let _ = writeln!(
            text,
            "predicted ratio {predicted:.3} from {} probes ({} reused)",
            outcome.probes.made + outcome.probes.reused,
            outcome.probes.reused
        );
    }
    if outcome.latency.is_none()
        && let Some((before, after)) = outcome.predicted_ms
    {
        let _ = writeln!(text, "predicted {before:.3} ms → {after:.3} ms, not measured");
    }
    for settings in &outcome.settings {
        let _ = writeln!(text, "settings  {}", settings.text());
    }
    if let Some(noise) = noise_text(&outcome.noise) {
        let _ = writeln!(text, "noise     {noise}");
    }
    if let Some(what) = unsteady_text(&outcome.noise) {
        let _ = writeln!(text, "unsteady  {what}");
    }
    for what in &outcome.unverified {
        let _ = writeln!(text, "unverified {what}");
    }
    if Metric::counted().any(|m| outcome.counted[m].before != outcome.counted[m].after) {
        let line: Vec<String> = Metric::counted().map(|m| counted_text(m, outcome.counted[m])).collect();
        let _ = writeln!(text, "{}", line.join("   "));
    }
    if let Some(reading) = &outcome.reading {
        let _ = writeln!(text, "task      {}", reading.text());
    }
    if let Some(t) = &outcome.task {
        text.push_str(&task_text(t));
    }
    outcome.metric.iter().for_each(|m| text.push_str(&metric_text(m)));
    if let Some(c) = &outcome.calibration {
        let _ = write!(text, "loss      {} predicted", lost(c.predicted_loss));
        if let Some(loss) = c.held_out_loss {
            let _ = write!(text, ", {} measured", lost(loss));
            if let Some(same) = agreement_text(c) {
                let _ = write!(text, " with {same} agreement");
            }
            let _ = write!(text, " on samples that were held out");
        }
        let _ = match c.samples {
            0 => writeln!(text, "; no samples: by weights alone"),
            _ => writeln!(
                text,
                "; {}, {:.0} s to search, {:.0} s to fit",
                samples_text(c),
                c.search_seconds,
                c.fit_seconds
            ),
        };
    }
    if let Some(scales) = outcome.calibration.as_ref().and_then(|c| c.activation_scales.as_ref()) {
        let _ = writeln!(text, "scales    {}", scales.text());
    }
    if let Some(d) = outcome.calibration.as_ref().and_then(|c| c.distillation.as_ref()) {
        let _ = writeln!(text, "distilled {}", d.text());
    }
    if listed == Listed::All
        && let Some(c) = &outcome.calibration
    {
        for (output, what) in &c.losses {
            let _ = writeln!(text, "loss of   {output}: {what}");
        }
    }
    if let Some(a) = &outcome.agreement {
        let _ = writeln!(
            text,
            "outputs   largest difference {:.1e} ({:.1e} of the range), cosine {:.7}, {} inputs",
            a.max_abs_diff, a.max_rel_diff, a.cosine, a.inputs_tried
        );
    }
    for note in &outcome.notes {
        let _ = writeln!(text, "note      {note}");
    }
    if let Some(dynamic) = &outcome.dynamic {
        text.push_str(&dynamic_text(dynamic, listed));
    }
    text.push_str(&goals_ahead_text(outcome));
    text
}

/// Which written-out broadcasts are gone; `None` where there are none.
fn broadcasts_text(outcome: &Outcome) -> Option<String> {
    let gone = outcome.broadcasts_removed();
    match gone.len() {
        0 => None,
        1 => Some(format!(
            "1 that was written out is left to the node behind it: {}",
            list(gone)
        )),
        n => Some(format!(
            "{n} that were written out are left to the nodes behind them: {}",
            list(gone)
        )),
    }
}

/// A loss, in few digits however large it is.
fn lost(loss: f64) -> String {
    match loss.abs() < 1e4 {
        true => format!("{:.4}", loss + 0.0),
        false => format!("{loss:.2e}"),
    }
}

/// The gate table and what the dynamic variant came to.
fn dynamic_text(dynamic: &Dynamic, listed: Listed) -> String {
    let mut text = String::new();
    let header = [
        "block",
        "gate",
        "keep",
        "break-even",
        "dense ms",
        "gated ms",
        "work",
        "loss",
        "",
    ];
    let mut rows = table(&header, &[2, 3, 4, 5, 6, 7]);
    let share = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.2}"));
    let ms = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
    let mut shown = 0;
    for g in &dynamic.gates {
        if listed == Listed::Changed && g.keep.is_none() {
            continue;
        }
        shown += 1;
        let tile = g.tile.map_or(String::new(), |(r, c)| format!(" {r}×{c}"));
        rows.add_row([
            shorten(&g.block, 28),
            format!("{}{tile}", g.kind),
            share(g.keep),
            share(g.break_even),
            ms(g.ms_dense),
            ms(g.ms_gated),
            share(g.flops_share),
            g.loss.map_or(String::new(), |l| format!("{l:.1e}")),
            if g.used { "used".to_owned() } else { g.reason.clone() },
        ]);
    }
    if shown > 0 {
        let _ = writeln!(text, "{rows}");
    }
    if let (Some([original, fixed, gated]), Some((ratio, noise))) = (&dynamic.latency, dynamic.ratio) {
        let _ = writeln!(
            text,
            "dynamic   {:.3} ms original, {:.3} ms static, {:.3} ms ± {:.3} dynamic   dynamic over static {ratio:.3} ± {noise:.3}",
            original.median, fixed.median, gated.median, gated.mad
        );
    }
    if let Some(macs) = dynamic.macs {
        let _ = writeln!(text, "work      {} multiply-accumulates executed a sample", big(macs));
    }
    if let Some(d) = &dynamic.distillation {
        let _ = writeln!(text, "distilled {}", d.text());
    }
    if let Some(drop) = dynamic.held_out_drop {
        let _ = writeln!(
            text,
            "drop      {:.2} % on the calibration samples that chose the gates",
            100.0 * drop
        );
    }
    if let Some(task) = &dynamic.task {
        let _ = write!(text, "static → dynamic\n{}", task_numbers(task));
    }
    if let Some(m) = &dynamic.metric {
        let _ = writeln!(
            text,
            "metric    {} {:.4} → {:.4} static → dynamic",
            m.name, m.original, m.rewritten
        );
    }
    if let Some(drop) = &dynamic.eval_drop {
        let _ = writeln!(text, "drop      {}", drop.text(dynamic.metric.is_some()));
    }
    for note in &dynamic.notes {
        let _ = writeln!(text, "note      {note}");
    }
    if let Some(why) = &dynamic.declined {
        let _ = writeln!(text, "no dynamic model: {why}");
    }
    text
}

/// The numbers of the user's own metric.
pub fn metric_text(scores: &MetricScores) -> String {
    format!(
        "metric    {} {:.4} → {:.4} (drop {:.4})\n",
        scores.name,
        scores.original,
        scores.rewritten,
        scores.drop()
    )
}

/// Accuracy and agreement on real inputs, and what is lost.
pub fn task_text(task: &Task) -> String {
    let mut text = task_numbers(task);
    let _ = writeln!(
        text,
        "drop      {:.2} % ({:.2} to {:.2} % with 95 % confidence)",
        100.0 * task.accuracy_drop(),
        100.0 * task.drop_interval.low,
        100.0 * task.drop_interval.high
    );
    text
}

/// Accuracy and agreement on real inputs.
fn task_numbers(task: &Task) -> String {
    let mut text = String::new();
    if let (Some(one), Some(five)) = (task.top1, task.top5) {
        let _ = writeln!(
            text,
            "accuracy  top-1 {:.2} % → {:.2} %   top-5 {:.2} % → {:.2} %",
            100.0 * one.0,
            100.0 * one.1,
            100.0 * five.0,
            100.0 * five.1
        );
    }
    if task.numbers.is_empty() {
        let _ = writeln!(
            text,
            "agreement {:.2} % of {} samples",
            100.0 * task.agreement,
            task.samples
        );
    } else {
        text.push_str(&numbers_text(task));
    }
    text
}

/// The numbers of a task, by labels and by the original's answers.
fn numbers_text(task: &Task) -> String {
    let mut text = String::new();
    let line = |of: &dyn Fn(&TaskNumber) -> Option<String>| -> Option<String> {
        let all: Option<Vec<String>> = task.numbers.iter().map(of).collect();
        all.map(|all| all.join("   "))
    };
    let labelled = line(&|n| n.labelled.map(|(a, b)| format!("{} {a:.4} → {b:.4}", n.name)));
    if let Some(all) = labelled {
        let _ = writeln!(text, "labels    {all}, {} samples", task.samples);
    }
    if let Some(all) = line(&|n| n.agreement.map(|v| format!("{} {v:.4}", n.name))) {
        let _ = writeln!(
            text,
            "agreement {all} with the original's answers, {} samples",
            task.samples
        );
    }
    text
}
