//! What a run takes besides its layers: how it spreads over the groups whose channels it moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::axis_widths::AxisWidths;
use super::layer_groups::ChannelCounts;
use super::space::SearchSpace;
use crate::channels::{Analysis, BlockedLayout, Branch, spec_of};
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;
use crate::ops::LinearSpec;
use crate::profile::NodeMs;

/// Shares of the overhead. What a node takes counts in proportion to the elements that it makes, linear in each group's
/// channels; a value with channels of several groups counts for each by its part.
#[derive(Debug)]
pub(super) struct Overhead {
    nodes: Vec<NodeWork>,
    /// The share that no unconstrained group changes, 0 to 1.
    fixed: f64,
    /// Each unconstrained group's share at its present channels, with those.
    groups: BTreeMap<usize, GroupShare>,
    /// What goes with each residual branch besides what its own groups' shares say.
    branches: Vec<BranchShare>,
    /// What nodes were measured to take, by node index.
    seen: HashMap<usize, Seen>,
}

/// The share of a branch's nodes that stays when all groups within it have no channels.
#[derive(Debug)]
struct BranchShare {
    nodes: BTreeSet<usize>,
    /// The groups within it.
    inside: BTreeSet<usize>,
    /// The group that tells whether it is gone.
    first: usize,
    /// What no group changes.
    fixed: f64,
    /// What other groups do.
    groups: BTreeMap<usize, GroupShare>,
}

/// The work of a node that is no convolution.
#[derive(Debug)]
struct NodeWork {
    node: usize,
    /// Whether providers compute it as a part of a layer.
    in_layer: bool,
    /// Elements that it makes at the present widths.
    elements: f64,
    /// How many of them go when a group has no channels, with the group's present channels.
    moved: Vec<Moved>,
}

#[derive(Clone, Copy, Debug)]
struct Moved {
    group: usize,
    elements: f64,
    channels: usize,
}

/// What a node was measured to take, milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    ms: f64,
    /// What of it is the same whatever the widths.
    fixed: f64,
}

#[derive(Debug, Default)]
struct GroupShare {
    share: f64,
    channels: usize,
}

impl Overhead {
    /// Shares by elements.
    pub fn new(graph: &Graph, analysis: &Analysis) -> Self {
        let widths = AxisWidths::new(analysis);
        let counter = Counter {
            graph,
            analysis,
            widths: &widths,
        };
        let nodes = (0..graph.proto.node.len()).filter(|&n| !LinearSpec::slides(&graph.proto.node[n]));
        let mut overhead = Self {
            nodes: nodes.map(|n| counter.work(n)).collect(),
            fixed: 0.0,
            groups: BTreeMap::new(),
            branches: analysis.branches.values().filter_map(BranchShare::of).collect(),
            seen: HashMap::new(),
        };
        let by_elements = |work: &NodeWork| Seen {
            ms: if work.in_layer { 0.0 } else { work.elements },
            fixed: 0.0,
        };
        overhead.share_out(0.0, &by_elements);
        overhead
    }

    /// Takes over what nodes were measured to take; one has an entry for each workload.
    pub fn seen(&mut self, seen: &[NodeMs]) {
        self.seen.clear();
        for n in seen {
            let entry = self.seen.entry(n.node).or_default();
            entry.ms += n.ms;
            entry.fixed += n.fixed;
        }
    }

    /// What a node was measured to take, milliseconds; 0 where it was not seen.
    pub fn node_ms(&self, node: usize) -> f64 {
        self.seen.get(&node).map_or(0.0, |seen| seen.ms)
    }

    /// Shares by what nodes were measured to take on a device, of `overhead_ms` in all. The time of what is no node of the file, `fixed_ms` of
    /// which is the same whatever the widths, counts for the nodes that were not seen, by elements.
    pub fn by_times(&mut self, overhead_ms: f64, fixed_ms: f64) {
        let own = std::mem::take(&mut self.seen);
        let unseen = |work: &NodeWork| !work.in_layer && !own.contains_key(&work.node);
        let elements: f64 = self.nodes.iter().filter(|w| unseen(w)).map(|w| w.elements).sum();
        let rest = (overhead_ms - own.values().map(|seen| seen.ms).sum::<f64>()).max(0.0);
        let rate = rest / elements.max(1.0);
        let still = if rest > 0.0 {
            (fixed_ms / rest).clamp(0.0, 1.0)
        } else {
            0.0
        };
        // A kernel takes no less than the shortest one, however few elements are left.
        let times = own.values().map(|seen| seen.ms).filter(|&ms| ms > 0.0);
        let least = times.reduce(f64::min).unwrap_or(0.0);
        let weight = |work: &NodeWork| {
            let seen = match own.get(&work.node) {
                Some(&seen) => seen,
                None if unseen(work) => Seen {
                    ms: rate * work.elements,
                    fixed: still * rate * work.elements,
                },
                None => Seen::default(),
            };
            Seen {
                fixed: seen.fixed.max(least),
                ..seen
            }
        };
        self.share_out(overhead_ms, &weight);
        self.seen = own;
    }

    /// Shares by a weight for each node, of at least `whole`: what is no node of the file is the same under every plan, and so is what of each
    /// node is fixed.
    fn share_out(&mut self, whole: f64, weight: &dyn Fn(&NodeWork) -> Seen) {
        let mut moved: BTreeMap<usize, GroupShare> = BTreeMap::new();
        let mut all = 0.0;
        for work in &self.nodes {
            let own = weight(work);
            all += own.ms;
            for m in &work.moved {
                let entry = moved.entry(m.group).or_default();
                entry.share += (own.ms - own.fixed).max(0.0) * m.elements / work.elements.max(f64::MIN_POSITIVE);
                entry.channels = m.channels;
            }
        }
        let sum: f64 = moved.values().map(|g| g.share).sum();
        let all = (sum + (all - sum).max(0.0)).max(whole).max(f64::MIN_POSITIVE);
        moved.values_mut().for_each(|g| g.share /= all);
        self.fixed = 1.0 - sum / all;
        self.groups = moved;
        for branch in &mut self.branches {
            (branch.fixed, branch.groups) = (0.0, BTreeMap::new());
            for work in self.nodes.iter().filter(|w| branch.nodes.contains(&w.node)) {
                let own = weight(work);
                branch.fixed += own.ms / all;
                for m in &work.moved {
                    // Of what is fixed, a group at no channels gives nothing back; the branch gives all.
                    let share = (own.ms - own.fixed).max(0.0) / all * m.elements / work.elements.max(f64::MIN_POSITIVE);
                    branch.fixed -= share;
                    if !branch.inside.contains(&m.group) {
                        let entry = branch.groups.entry(m.group).or_default();
                        entry.share += share;
                        entry.channels = m.channels;
                    }
                }
            }
            // A product with two groups' channels counts for both.
            branch.fixed = branch.fixed.max(0.0);
        }
    }

    /// How many branches there are.
    pub fn branch_count(&self) -> usize {
        self.branches.len()
    }

    /// The branches that may go by number, each with the groups that its share depends on.
    pub fn branches(&self, space: &SearchSpace) -> Vec<(usize, BTreeSet<usize>)> {
        let all = self.branches.iter().enumerate().filter(|(_, b)| space.may_go(b.first));
        let groups = |b: &BranchShare| b.groups.keys().copied().chain([b.first]).collect();
        all.map(|(k, b)| (k, groups(b))).collect()
    }

    /// The share that goes with a branch under a plan, beyond those of its groups: 0 where it stays.
    pub fn of_branch(&self, branch: usize, counts: &ChannelCounts) -> f64 {
        let Some(branch) = self.branches.get(branch).filter(|b| counts[b.first] == 0) else {
            return 0.0;
        };
        let of = |(&g, share): (&usize, &GroupShare)| share.share * counts[g] as f64 / share.channels as f64;
        branch.fixed + branch.groups.iter().map(of).sum::<f64>()
    }

    /// Nodes of a branch that are no layers and were seen to take time, where it is gone under a plan.
    pub fn nodes_gone(&self, branch: usize, counts: &ChannelCounts) -> usize {
        let gone = self.branches.get(branch).filter(|b| counts[b.first] == 0);
        gone.map_or(0, |b| b.nodes.iter().filter(|n| self.seen.contains_key(n)).count())
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

impl BranchShare {
    fn of(branch: &Branch) -> Option<Self> {
        Some(Self {
            nodes: branch.nodes.clone(),
            inside: branch.groups.iter().copied().collect(),
            first: *branch.groups.first()?,
            fixed: 0.0,
            groups: BTreeMap::new(),
        })
    }
}

/// Channels of a SIMD block, and how many times a concatenation costs that is off it (as measured on AVX-512).
const BLOCK: usize = 16;
const OFF_BLOCK: f64 = 2.5;

/// Whether the work of a node that is no convolution is part of the layers' times.
fn in_layer(node: &NodeProto) -> bool {
    spec_of(node).is_some_and(|s| s.layout == BlockedLayout::Fused)
}

struct Counter<'a> {
    graph: &'a Graph<'a>,
    analysis: &'a Analysis,
    widths: &'a AxisWidths,
}

impl Counter<'_> {
    /// The work of a node, at the present widths and by group.
    fn work(&self, node: usize) -> NodeWork {
        let base: ChannelCounts = self.analysis.groups.iter().map(|g| g.classes.len()).collect();
        let now = self.made(node, &base);
        let moved = self.groups(node).into_iter().map(|group| {
            let mut without = base.clone();
            without[group] = 0;
            Moved {
                group,
                elements: now - self.made(node, &without),
                channels: base[group].max(1),
            }
        });
        NodeWork {
            node,
            in_layer: in_layer(&self.graph.proto.node[node]),
            elements: now,
            moved: moved.collect(),
        }
    }

    /// What a node makes under a plan, in elements: a measure of the work around the layers. A concatenation whose parts are off
    /// the SIMD block counts two and a half times: its parts leave a CPU's blocked layout.
    fn made(&self, node: usize, counts: &ChannelCounts) -> f64 {
        let node = &self.graph.proto.node[node];
        let dependencies = &self.analysis.dependencies;
        let off = |name: &String| {
            dependencies.by_name(name).is_some_and(|id| {
                dependencies.dims(id).len() == 4 && !self.widths.dim(id, 1, counts).is_multiple_of(BLOCK)
            })
        };
        let times = match node.op_type() {
            "Concat" if node.input.iter().any(off) => OFF_BLOCK,
            _ => 1.0,
        };
        let made = node.output.iter().filter_map(|n| dependencies.by_name(n));
        made.map(|id| times * self.widths.elements(self.analysis, id, counts))
            .sum()
    }

    /// The unconstrained groups that a node makes or reads channels of.
    fn groups(&self, node: usize) -> BTreeSet<usize> {
        let node = &self.graph.proto.node[node];
        let names = node.input.iter().chain(&node.output);
        let values = names.filter_map(|n| self.analysis.dependencies.by_name(n));
        values.flat_map(|id| self.widths.groups(self.analysis, id)).collect()
    }
}
