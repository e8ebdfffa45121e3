//! Tables for people.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::noise::{noise_text, unsteady_text};
use super::numbers::big;
use crate::onnx::label;
use crate::optimize::{Dynamic, Opened, Outcome};
use crate::verify::{Entry, Task, Verdict};

pub(crate) fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let tail: Vec<char> = text.chars().rev().take(most - 1).collect();
    format!("…{}", tail.into_iter().rev().collect::<String>())
}

fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => shorten(one, 36),
        [first, rest @ ..] => format!("{} +{}", shorten(first, 30), rest.len()),
    }
}

/// The result of the main job. `all` also lists the groups that stay.
pub fn outcome_text(outcome: &Outcome, all: bool) -> String {
    let mut text = String::new();
    let mut rows = table(&["group", "layers", "width", "", "why", "layers ms"], &[0, 2]);
    let mut shown = 0;
    for g in &outcome.groups {
        if !all && g.before == g.after {
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
    if let Some(noise) = noise_text(&outcome.noise) {
        let _ = writeln!(text, "noise     {noise}");
    }
    if let Some(what) = unsteady_text(&outcome.noise) {
        let _ = writeln!(text, "unsteady  {what}");
    }
    for what in &outcome.unverified {
        let _ = writeln!(text, "unverified {what}");
    }
    let (macs, params) = (outcome.macs, outcome.params);
    if macs.0 != macs.1 {
        let _ = writeln!(
            text,
            "MACs      {} → {} a sample   parameters {} → {}",
            big(macs.0),
            big(macs.1),
            big(params.0),
            big(params.1)
        );
    }
    if let Some(t) = &outcome.task {
        text.push_str(&task_text(t));
    }
    if let Some(c) = &outcome.calibration {
        let _ = write!(text, "loss      {} predicted", lost(c.predicted_loss));
        if let Some(loss) = c.held_out_loss {
            let _ = write!(text, ", {} measured", lost(loss));
            if let Some(same) = c.held_out_agreement {
                let _ = write!(text, " with {:.2} % agreement", 100.0 * same);
            }
            let _ = write!(text, " on samples that were held out");
        }
        let _ = match c.samples {
            0 => writeln!(text, "; no samples: by weights alone"),
            n => writeln!(
                text,
                "; {n} samples, {:.0} s to search, {:.0} s to fit",
                c.search_seconds, c.fit_seconds
            ),
        };
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
        text.push_str(&dynamic_text(dynamic, all));
    }
    text
}

/// A loss, in few digits however large it is.
fn lost(loss: f64) -> String {
    match loss.abs() < 1e4 {
        true => format!("{:.4}", loss + 0.0),
        false => format!("{loss:.2e}"),
    }
}

/// The gate table and what the dynamic variant came to.
fn dynamic_text(dynamic: &Dynamic, all: bool) -> String {
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
        if !all && g.keep.is_none() {
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
    if let Some(drop) = dynamic.held_out_drop {
        let _ = writeln!(
            text,
            "drop      {:.2} % on calibration samples that were held out",
            100.0 * drop
        );
    }
    if let Some(task) = &dynamic.task {
        let _ = write!(text, "static → dynamic\n{}", task_text(task));
    }
    for note in &dynamic.notes {
        let _ = writeln!(text, "note      {note}");
    }
    if let Some(why) = &dynamic.declined {
        let _ = writeln!(text, "no dynamic model: {why}");
    }
    text
}

/// Accuracy and agreement on real inputs.
pub fn task_text(task: &Task) -> String {
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
    let _ = writeln!(
        text,
        "agreement {:.2} % of {} samples",
        100.0 * task.agreement,
        task.samples
    );
    let _ = writeln!(
        text,
        "drop      {:.2} % ({:.2} to {:.2} % with 95 % confidence)",
        100.0 * task.accuracy_drop(),
        100.0 * task.drop_interval.low,
        100.0 * task.drop_interval.high
    );
    text
}

/// Groups, barriers and shares of a model.
pub fn inspect_text(opened: &Opened) -> String {
    let analysis = &opened.analysis;
    let nodes: Vec<_> = opened.proto.graph.iter().flat_map(|g| &g.node).collect();
    let total = analysis.total_macs().max(1) as f64;
    let names = |ids: &[usize]| list(&ids.iter().map(|&n| label(nodes[n], n)).collect::<Vec<_>>());
    let mut rows = table(&["group", "width", "made by", "read by", "MACs", "may"], &[0, 1, 4]);
    let mut barriers: Vec<(String, Vec<usize>)> = Vec::new();
    for g in &analysis.groups {
        let mut touched: Vec<usize> = g.producers.iter().chain(&g.consumers).copied().collect();
        touched.sort_unstable();
        touched.dedup();
        let macs: u64 = touched.iter().map(|&n| analysis.macs[n]).sum();
        let may = match (opened.constraint_of(g), g.can_grow()) {
            (Some(_), _) => "stay",
            (None, true) => "grow, shrink",
            (None, false) => "shrink",
        };
        let width = match g.unit {
            1 => g.width().to_string(),
            unit => format!("{} = {} × {unit}", g.width(), g.classes.len()),
        };
        rows.add_row([
            g.id.to_string(),
            width,
            names(&g.producers),
            names(&g.consumers),
            format!("{:.1} %", 100.0 * macs as f64 / total),
            may.to_owned(),
        ]);
        if let Some(constraint) = opened.constraint_of(g) {
            let at = constraint.node.map_or(String::new(), |n| {
                format!(" ({} {})", nodes[n].op_type(), label(nodes[n], n))
            });
            let reason = format!("{}{at}", constraint.reason);
            match barriers.iter_mut().find(|(r, _)| *r == reason) {
                Some((_, groups)) => groups.push(g.id),
                None => barriers.push((reason, vec![g.id])),
            }
        }
    }
    let mut text = if analysis.groups.is_empty() {
        String::new()
    } else {
        format!("{rows}\n")
    };
    if analysis.groups.iter().any(|g| g.unit > 1) {
        text.push_str("\nA width such as 108 = 27 × 4 moves in blocks: `kept` of a plan then counts the 27 blocks of 4 channels.\n");
    }
    if !opened.left_out.is_empty() {
        text.push_str(&left_out_text(opened));
    }
    if !barriers.is_empty() {
        text.push_str("\nwhat stays, and why\n");
        for (reason, groups) in barriers {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "  {reason}: group {}", groups.join(", "));
        }
    }
    let _ = writeln!(
        text,
        "\n{} MACs a {}, {} parameters, {} groups; {:.1} % of the MACs are in layers with a width that is free to change",
        big(analysis.total_macs()),
        opened.macs_per(),
        big(crate::rewrite::parameters(&opened.proto)),
        analysis.groups.len(),
        100.0 * opened.free_share()
    );
    if let Some(why) = opened.nothing_to_change(true) {
        let _ = writeln!(text, "nothing to do: {why}");
    }
    text
}

/// The layers that are neither timed nor changed.
fn left_out_text(opened: &Opened) -> String {
    let mut rows = table(&["left out", "operator", "what it is"], &[]);
    for layer in &opened.left_out {
        rows.add_row([shorten(&layer.name, 36), layer.op.clone(), layer.what.clone()]);
    }
    format!("\nlayers that are neither timed nor changed (integer layers not yet)\n{rows}\n")
}

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
