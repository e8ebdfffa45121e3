//! Axis lengths as sums over the groups that may change.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::layer_groups::ChannelCounts;
use crate::channels::{Analysis, ValueId};

/// The length of one axis: indices that are in no group that may change, and how many each channel of a group takes.
#[derive(Debug, Default)]
struct AxisLength {
    fixed: usize,
    indices: BTreeMap<usize, usize>,
}

/// The lengths of every axis of every value.
#[derive(Debug)]
pub(super) struct AxisWidths {
    axes: HashMap<(ValueId, usize), AxisLength>,
}

impl AxisWidths {
    pub fn new(analysis: &Analysis) -> Self {
        let dependencies = &analysis.dependencies;
        let changing = analysis.groups.iter().filter(|g| g.may_change());
        let group_of: HashMap<u32, usize> = changing.flat_map(|g| g.classes.iter().map(|&c| (c, g.id))).collect();
        let mut axes = HashMap::new();
        for id in (0..dependencies.values.len()).map(ValueId) {
            for (axis, &dim) in dependencies.dims(id).iter().enumerate() {
                let mut own = AxisLength::default();
                for i in 0..dim {
                    match group_of.get(&dependencies.class(dependencies.atom(id, axis, i))) {
                        Some(&g) => *own.indices.entry(g).or_insert(0) += 1,
                        None => own.fixed += 1,
                    }
                }
                for (g, n) in own.indices.iter_mut() {
                    *n /= analysis.groups[*g].classes.len();
                }
                axes.insert((id, axis), own);
            }
        }
        Self { axes }
    }

    /// The groups that may change and that a value has channels of.
    pub fn groups(&self, analysis: &Analysis, id: ValueId) -> BTreeSet<usize> {
        let axes = 0..analysis.dependencies.dims(id).len();
        let found = axes.filter_map(|axis| self.axes.get(&(id, axis)));
        found.flat_map(|a| a.indices.keys().copied()).collect()
    }

    /// The length of an axis under a plan.
    pub fn dim(&self, id: ValueId, axis: usize, counts: &ChannelCounts) -> usize {
        let Some(own) = self.axes.get(&(id, axis)) else {
            return 0;
        };
        own.fixed + own.indices.iter().map(|(&g, unit)| counts[g] * unit).sum::<usize>()
    }

    /// The elements of a value under a plan; 1 for a scalar.
    pub fn elements(&self, analysis: &Analysis, id: ValueId, counts: &ChannelCounts) -> f64 {
        let axes = 0..analysis.dependencies.dims(id).len();
        axes.map(|axis| self.dim(id, axis, counts) as f64).product()
    }
}
