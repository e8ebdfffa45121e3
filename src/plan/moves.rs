//! A plan: the groups whose widths change, and the broadcasts and branches that go.

use std::collections::{BTreeMap, BTreeSet};

use super::removable::{Fold, Removable, folds_of};
use crate::channels::{Analysis, ChannelChange, gone_with};
use crate::onnx::Graph;

/// A change of one group's width.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The group's number.
    pub group: usize,
    /// Channels before.
    pub before: usize,
    /// Channels after.
    pub after: usize,
}

/// Channel counts of the groups that change, by group number, with written-out broadcasts and residual branches that go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Plan {
    /// New channel counts, in classes of the group.
    pub counts: BTreeMap<usize, usize>,
    /// New channels share the work of old ones (Net2Wider: Chen et al., arXiv 1511.05641), in shares drawn with this
    /// seed; without one they are zero.
    pub split: Option<u64>,
    /// Of [`Analysis::broadcasts`], those that go.
    pub broadcasts: BTreeSet<usize>,
    /// Of [`Analysis::branches`], those that go.
    pub branches: BTreeSet<usize>,
}

impl Plan {
    /// The moves, in group order, those of branches that go last, with widths in indices of the first layer's axis.
    pub fn moves(&self, analysis: &Analysis) -> Vec<Move> {
        let gone: BTreeMap<usize, usize> = self.groups_gone(analysis).into_iter().map(|g| (g, 0)).collect();
        self.counts
            .iter()
            .chain(&gone)
            .map(|(&id, &count)| {
                let group = &analysis.groups[id];
                Move {
                    group: id,
                    before: group.width(),
                    after: count * group.unit,
                }
            })
            .collect()
    }

    /// The groups within branches that go.
    pub fn groups_gone(&self, analysis: &Analysis) -> BTreeSet<usize> {
        let gone = analysis.branches_at(&self.branches);
        gone.flat_map(|branch| branch.groups.iter().copied()).collect()
    }

    /// The nodes that go with broadcasts and not with a branch.
    pub fn unwritten(&self, graph: &Graph, analysis: &Analysis) -> BTreeSet<usize> {
        let mut nodes = gone_with(graph, &self.broadcasts);
        let branches = analysis.branches_at(&self.branches);
        branches.flat_map(|b| &b.nodes).for_each(|n| {
            nodes.remove(n);
        });
        nodes
    }

    /// The plan without some groups.
    pub fn without(&self, dropped: &[usize]) -> Self {
        let mut plan = self.clone();
        plan.counts.retain(|g, _| !dropped.contains(g));
        plan
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.broadcasts.is_empty() && self.branches.is_empty()
    }

    /// The channels to remove and to add with the broadcasts and branches that go, and the bias changes that go with the channels. A shrinking group
    /// loses its first removable channels; a growing one is padded beside its last channel, or beside channels spread over
    /// the group when they are split.
    pub fn change(&self, analysis: &Analysis, removable: &Removable) -> (ChannelChange, Vec<Fold>) {
        let mut change = ChannelChange {
            split: self.split,
            broadcasts: self.broadcasts.clone(),
            branches: self.branches.clone(),
            ..Default::default()
        };
        for (&id, &count) in &self.counts {
            let group = &analysis.groups[id];
            let before = group.classes.len();
            for (channel, copies) in replicated(&group.classes, count.saturating_sub(before), Replicas::of(self.split))
            {
                change.added.insert(channel, copies);
            }
            let order = removable.ranked.get(&id).or_else(|| removable.classes.get(&id));
            let spare = order.map(Vec::as_slice).unwrap_or_default();
            change.removed.extend(spare.iter().take(before.saturating_sub(count)));
        }
        let folds = folds_of(&change, removable).0;
        (change, folds)
    }
}

/// Which channels new ones are copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replicas {
    /// The last channel.
    OfLast,
    /// Channels spread over the group.
    Spread,
}

impl Replicas {
    /// Where new channels share the work of old ones (`split`), they are spread.
    pub fn of(split: Option<u64>) -> Self {
        split.map_or(Self::OfLast, |_| Self::Spread)
    }
}

/// (channel to replicate, copies): new channels are inserted after it. There are `new`
/// copies in all.
pub(super) fn replicated(classes: &[u32], new: usize, replicas: Replicas) -> Vec<(u32, u32)> {
    let Some(&last) = classes.last().filter(|_| new > 0) else {
        return Vec::new();
    };
    if replicas == Replicas::OfLast {
        return vec![(last, new as u32)];
    }
    let mut found: BTreeMap<usize, u32> = BTreeMap::new();
    for k in 0..new {
        *found.entry(k * classes.len() / new % classes.len()).or_insert(0) += 1;
    }
    found.into_iter().map(|(i, n)| (classes[i], n)).collect()
}
