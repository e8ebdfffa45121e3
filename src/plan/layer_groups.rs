//! Which groups the input and output widths of each layer are made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::gone_with::GoneWith;
use crate::channels::{Analysis, ValueId};
use crate::profile::Layer;

/// Channel counts of all groups, by group number.
pub type ChannelCounts = Vec<usize>;

/// Channels that a layer reads and makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerWidths {
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
}

impl LayerWidths {
    /// Whether nothing is left of the layer: it goes with the branch that it is in.
    pub fn is_gone(self) -> bool {
        self.input == 0 || self.output == 0
    }
}

/// Some layers under a plan.
#[derive(Clone, Debug)]
pub struct LayersAt {
    /// Their numbers.
    pub layers: Vec<usize>,
    /// The plan.
    pub counts: ChannelCounts,
}

/// A part of a width: the indices that one channel of a group takes on the axis.
#[derive(Clone, Copy, Debug)]
struct GroupShare {
    group: usize,
    indices: usize,
}

/// The groups behind every layer's widths, and the layers behind every group.
#[derive(Debug)]
pub(super) struct LayerGroups {
    inputs: Vec<Vec<GroupShare>>,
    outputs: Vec<Vec<GroupShare>>,
    /// Layers that a group touches, ascending.
    touched: HashMap<usize, Vec<usize>>,
    /// The group that tells whether a layer is gone with its branch.
    first: Vec<Option<usize>>,
}

impl LayerGroups {
    pub fn new(analysis: &Analysis, layers: &[Layer]) -> Self {
        let group_of: HashMap<u32, usize> = analysis
            .groups
            .iter()
            .flat_map(|g| g.classes.iter().map(|&c| (c, g.id)))
            .collect();
        let shares = |(value, axis): (ValueId, usize)| -> Vec<GroupShare> {
            let dependencies = &analysis.dependencies;
            let mut count: BTreeMap<usize, usize> = BTreeMap::new();
            for i in 0..dependencies.dims(value)[axis] {
                if let Some(&g) = group_of.get(&dependencies.class(dependencies.atom(value, axis, i))) {
                    *count.entry(g).or_default() += 1;
                }
            }
            let share = |(group, n): (usize, usize)| GroupShare {
                group,
                indices: n / analysis.groups[group].classes.len(),
            };
            count.into_iter().map(share).collect()
        };
        let gone_with = GoneWith::new(analysis);
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        let mut touched: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, layer) in layers.iter().enumerate() {
            let [input, output] = layer.widths().map(shares);
            for share in input.iter().chain(&output) {
                let list = touched.entry(share.group).or_default();
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
            inputs.push(input);
            outputs.push(output);
        }
        Self {
            inputs,
            outputs,
            touched,
            first: layers.iter().map(|l| gone_with.of(l.node)).collect(),
        }
    }

    /// The group that tells whether a layer is gone with its branch; `None` where it is in none.
    pub fn gone_with(&self, layer: usize) -> Option<usize> {
        self.first.get(layer).copied().flatten()
    }

    /// The layers whose widths a group is part of.
    pub fn touched_by(&self, group: usize) -> &[usize] {
        self.touched.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The groups that a layer's widths depend on.
    pub fn groups_of(&self, layer: usize) -> BTreeSet<usize> {
        let shares = self.inputs[layer].iter().chain(&self.outputs[layer]);
        shares.map(|s| s.group).collect()
    }

    /// The groups of a layer's input width, and of its output width.
    pub fn sides_of(&self, layer: usize) -> [Vec<usize>; 2] {
        [&self.inputs, &self.outputs].map(|side| side[layer].iter().map(|s| s.group).collect())
    }

    /// A layer's widths under a plan; none where its branch is gone.
    pub fn widths_at(&self, layer: usize, counts: &ChannelCounts) -> LayerWidths {
        if self.gone_with(layer).is_some_and(|g| counts[g] == 0) {
            return LayerWidths { input: 0, output: 0 };
        }
        let width = |shares: &[GroupShare]| shares.iter().map(|s| counts[s.group] * s.indices).sum();
        LayerWidths {
            input: width(&self.inputs[layer]),
            output: width(&self.outputs[layer]),
        }
    }
}
