//! What a run takes besides its layers: how it spreads over the groups whose channels it moves.

use std::collections::{BTreeMap, BTreeSet};

use super::axis_widths::AxisWidths;
use super::layer_groups::ChannelCounts;
use crate::channels::{Analysis, BlockedLayout, spec_of};
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;
use crate::ops::LinearSpec;

/// Shares of the overhead. It counts in proportion to the elements that nodes other than layers make, linear in each
/// group's channels; a value with channels of several groups counts for each by its part.
#[derive(Debug)]
pub(super) struct Overhead {
    /// The share that no unconstrained group changes, 0 to 1.
    fixed: f64,
    /// Each unconstrained group's share at its present channels, with those.
    groups: BTreeMap<usize, GroupShare>,
}

#[derive(Debug)]
struct GroupShare {
    share: f64,
    channels: usize,
}

impl Overhead {
    pub fn new(graph: &Graph, analysis: &Analysis) -> Self {
        let widths = AxisWidths::new(analysis);
        let counter = Counter {
            graph,
            analysis,
            widths: &widths,
        };
        let base: ChannelCounts = analysis.groups.iter().map(|g| g.classes.len()).collect();
        let present: Vec<f64> = (0..graph.proto.node.len()).map(|n| counter.made(n, &base)).collect();
        let mut moved: BTreeMap<usize, f64> = BTreeMap::new();
        for (node, now) in present.iter().enumerate() {
            for group in counter.groups(node) {
                let mut without = base.clone();
                without[group] = 0;
                *moved.entry(group).or_default() += now - counter.made(node, &without);
            }
        }
        let sum: f64 = moved.values().sum();
        let all = (sum + (present.iter().sum::<f64>() - sum).max(0.0)).max(f64::MIN_POSITIVE);
        let share = |(group, own): (usize, f64)| {
            let (share, channels) = (own / all, base[group].max(1));
            (group, GroupShare { share, channels })
        };
        Self {
            fixed: 1.0 - sum / all,
            groups: moved.into_iter().map(share).collect(),
        }
    }

    /// The share that is the same under every plan.
    pub fn fixed(&self) -> f64 {
        self.fixed
    }

    /// The groups that have a share.
    pub fn groups(&self) -> impl Iterator<Item = usize> {
        self.groups.keys().copied()
    }

    /// The share of one group under a plan.
    pub fn of_group(&self, group: usize, counts: &ChannelCounts) -> f64 {
        let own = self.groups.get(&group);
        own.map_or(0.0, |g| g.share * counts[group] as f64 / g.channels as f64)
    }
}

/// Channels of a SIMD block, and how many times a concatenation costs that is off it (as measured on AVX-512).
const BLOCK: usize = 16;
const OFF_BLOCK: f64 = 2.5;

/// Whether a node's work is part of the layers' times.
fn in_layer(node: &NodeProto) -> bool {
    LinearSpec::is_convolution(node) || spec_of(node).is_some_and(|s| s.layout == BlockedLayout::Fused)
}

struct Counter<'a> {
    graph: &'a Graph<'a>,
    analysis: &'a Analysis,
    widths: &'a AxisWidths,
}

impl Counter<'_> {
    /// What a node makes under a plan, in elements: a measure of the work around the layers on a CPU. Convolutions,
    /// activations and normalizations are part of the layers and count nothing. A concatenation whose parts are off the
    /// SIMD block counts two and a half times: its parts leave the blocked layout.
    fn made(&self, node: usize, counts: &ChannelCounts) -> f64 {
        let node = &self.graph.proto.node[node];
        if in_layer(node) {
            return 0.0;
        }
        let co = &self.analysis.dependencies;
        let off = |name: &String| {
            co.by_name(name)
                .is_some_and(|id| co.dims(id).len() == 4 && !self.widths.dim(id, 1, counts).is_multiple_of(BLOCK))
        };
        let times = match node.op_type() {
            "Concat" if node.input.iter().any(off) => OFF_BLOCK,
            _ => 1.0,
        };
        let made = node.output.iter().filter_map(|n| co.by_name(n));
        made.map(|id| times * self.widths.elements(self.analysis, id, counts))
            .sum()
    }

    /// The unconstrained groups that a node makes or reads channels of.
    fn groups(&self, node: usize) -> BTreeSet<usize> {
        let node = &self.graph.proto.node[node];
        if in_layer(node) {
            return BTreeSet::new();
        }
        let names = node.input.iter().chain(&node.output);
        let values = names.filter_map(|n| self.analysis.dependencies.by_name(n));
        values.flat_map(|id| self.widths.groups(self.analysis, id)).collect()
    }
}
