//! A model's groups and what holds them, for people.

use std::fmt::Write;

use super::numbers::big;
use super::table::{list, shorten, table};
use super::visible::one_line;
use crate::onnx::label;
use crate::optimize::Opened;
use crate::plan::Metric;

/// Groups, constraints and shares of a model.
pub fn inspect_text(opened: &Opened) -> String {
    let analysis = &opened.analysis;
    let nodes: Vec<_> = opened.proto.graph.iter().flat_map(|g| &g.node).collect();
    let total = analysis.total_macs().max(1) as f64;
    let names = |ids: &[usize]| list(&ids.iter().map(|&n| label(nodes[n], n)).collect::<Vec<_>>());
    let mut rows = table(&["group", "width", "made by", "read by", "MACs", "may"], &[0, 1, 4]);
    let mut constraints: Vec<(String, Vec<usize>)> = Vec::new();
    for g in &analysis.groups {
        let mut touched: Vec<usize> = g.producers.iter().chain(&g.consumers).copied().collect();
        touched.sort_unstable();
        touched.dedup();
        let macs: u64 = touched.iter().map(|&n| analysis.macs[n]).sum();
        let may = match (opened.constraint_of(g), g.can_grow()) {
            (Some(_), _) if opened.can_grow(g) => "grow at its end",
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
                format!(" ({} {})", nodes[n].op_type(), one_line(&label(nodes[n], n)))
            });
            let reason = format!("{}{at}", constraint.reason);
            match constraints.iter_mut().find(|(r, _)| *r == reason) {
                Some((_, groups)) => groups.push(g.id),
                None => constraints.push((reason, vec![g.id])),
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
    if !opened.quantized.is_empty() {
        text.push_str(&quantized_text(opened));
    }
    if !opened.left_out.is_empty() {
        text.push_str(&left_out_text(opened));
    }
    if !constraints.is_empty() {
        text.push_str("\nwhat stays, and why\n");
        for (reason, groups) in constraints {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "  {reason}: group {}", groups.join(", "));
        }
    }
    let _ = writeln!(
        text,
        "\n{} MACs a {}, {} parameters, {} groups; {:.1} % of the MACs are in layers with a width that is free to change",
        big(analysis.total_macs()),
        opened.macs_per(),
        big(opened.counted[Metric::Params]),
        analysis.groups.len(),
        100.0 * opened.free_share()
    );
    let broadcasts: Vec<String> = analysis.broadcasts.iter().map(|&n| label(nodes[n], n)).collect();
    if !broadcasts.is_empty() {
        let _ = writeln!(
            text,
            "broadcasts that are written out and may go: {} ({})",
            broadcasts.len(),
            list(&broadcasts)
        );
    }
    if let Some(why) = opened.nothing_to_do() {
        let _ = writeln!(text, "nothing to do: {why}");
    }
    text
}

/// The layers with quantized weights.
fn quantized_text(opened: &Opened) -> String {
    let mut rows = table(&["quantized", "operator", "what it is"], &[]);
    for layer in &opened.quantized {
        let floats = layer
            .in_floats
            .map_or(String::new(), |why| format!("; in floats: {why}"));
        rows.add_row([
            shorten(&layer.name, 36),
            layer.op.clone(),
            format!("{}{floats}", layer.what),
        ]);
    }
    format!("\n{rows}\n")
}

/// The layers that are neither timed nor changed.
fn left_out_text(opened: &Opened) -> String {
    let mut rows = table(&["left out", "operator", "what it is"], &[]);
    for layer in &opened.left_out {
        rows.add_row([shorten(&layer.name, 36), layer.op.clone(), layer.what.clone()]);
    }
    format!("\nlayers that are neither timed nor changed\n{rows}\n")
}
