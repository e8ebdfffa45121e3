//! The nodes of a model against the limits of the device, in the terminal.

use super::kernel_name::short;
use super::numbers::{big, milliseconds, percent};
use super::table::{shorten, table};
use crate::device::NodeClock;
use crate::plan::bytes_text;
use crate::profile::{Bound, ElementType, NodeCost, Roofline, RunTotals};

/// Nodes that the terminal shows.
const SHOWN: usize = 20;
/// Characters of a node's name in the terminal.
const NAME: usize = 40;

/// The longest nodes and the sums.
pub fn roofline_text(roofline: &Roofline) -> String {
    let on_device = roofline.clock == NodeClock::Device;
    let mut header = vec![
        "node",
        "operator",
        "ms",
        "share",
        "flops",
        "bytes",
        "bound by",
        "of its limit",
    ];
    if on_device {
        header.push("kernels");
    }
    let mut table = table(&header, &[2, 3, 4, 5, 7]);
    let (shown, rest) = roofline.nodes.split_at(roofline.nodes.len().min(SHOWN));
    for node in shown {
        let row = NodeRow::of(node);
        let mut cells = vec![
            shorten(node.label(), NAME),
            node.op.clone(),
            row.ms,
            row.share,
            row.flops,
            row.bytes,
            row.bound.to_owned(),
            row.of_limit,
        ];
        if on_device {
            cells.push(row.kernels);
        }
        table.add_row(cells);
    }
    if !rest.is_empty() {
        let sum = |of: fn(&NodeCost) -> f64| rest.iter().map(of).sum::<f64>();
        table.add_row([
            format!("{} others", rest.len()),
            String::new(),
            milliseconds(sum(|n| n.ms)),
            percent(sum(|n| n.share)),
        ]);
    }
    format!("{table}\n{}\n{}\n", totals(roofline), limits(roofline))
}

/// What is said of a node.
pub(in crate::report) struct NodeRow {
    pub(in crate::report) ms: String,
    pub(in crate::report) share: String,
    pub(in crate::report) flops: String,
    pub(in crate::report) bytes: String,
    pub(in crate::report) bound: &'static str,
    pub(in crate::report) of_limit: String,
    pub(in crate::report) kernels: String,
}

impl NodeRow {
    pub(in crate::report) fn of(node: &NodeCost) -> Self {
        let number = |n: Option<f64>, text: fn(f64) -> String| n.map_or_else(|| "–".to_owned(), text);
        Self {
            ms: milliseconds(node.ms),
            share: percent(node.share),
            flops: number(node.flops, |n| big(n as u64)),
            bytes: number(node.bytes, bytes_text),
            bound: match node.bound {
                Bound::Unknown => "–",
                bound => bound.name(),
            },
            of_limit: number(node.share_of_limit, percent),
            kernels: kernels(node),
        }
    }
}

/// How many kernels a node launches, and the longest with its waves.
fn kernels(node: &NodeCost) -> String {
    let Some(main) = &node.main_kernel else {
        return node.kernels.to_string();
    };
    let waves = main.waves.map_or(String::new(), |w| {
        let s = if w.waves == 1 { "" } else { "s" };
        format!(": {} wave{s}, {} used", w.waves, percent(w.tail_use))
    });
    format!("{}, {}{waves}", node.kernels, short(&main.name))
}

/// The whole model in words.
pub(in crate::report) fn totals(roofline: &Roofline) -> String {
    let RunTotals {
        run_ms,
        nodes_ms,
        limits_ms,
        unknown_ms,
        host_bound,
    } = roofline.totals;
    let nodes = match roofline.clock {
        NodeClock::Host => "nodes",
        NodeClock::Device => "kernels",
    };
    let unknown = match unknown_ms > 0.0 {
        true => format!("; {} ms are of nodes without a known limit", milliseconds(unknown_ms)),
        false => String::new(),
    };
    let waits = match host_bound {
        true => "; host-bound: the device waits for launches",
        false => "",
    };
    format!(
        "A run takes {} ms, its {nodes} {} ms{waits}; at the limits of the device the nodes would take {} ms ({}){unknown}",
        milliseconds(run_ms),
        milliseconds(nodes_ms),
        milliseconds(limits_ms),
        percent(limits_ms / nodes_ms.max(f64::MIN_POSITIVE)),
    )
}

/// The limits in words.
pub(in crate::report) fn limits(roofline: &Roofline) -> String {
    let limits = &roofline.limits;
    let peaks = limits.flops_per_ms.iter().map(|(element, peak)| {
        let element = match element {
            ElementType::F32 => "f32",
            ElementType::F16 => "f16",
            ElementType::Other => "other",
        };
        format!("{}flop/s in {element}", big((peak * 1e3) as u64))
    });
    let peaks: Vec<String> = peaks.collect();
    format!(
        "Limits measured: {}, {}/s of memory, {} ms for the shortest node",
        peaks.join(", "),
        bytes_text(limits.bytes_per_ms * 1e3),
        milliseconds(limits.least_ms),
    )
}
