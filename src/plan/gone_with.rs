//! Which nodes take nothing once their branch is gone, whatever their widths.

use std::collections::HashMap;

use crate::channels::Analysis;

/// The group that tells whether a node is gone, by node: the first within its branch.
#[derive(Debug)]
pub(super) struct GoneWith {
    first: HashMap<usize, usize>,
}

impl GoneWith {
    /// Of all branches that may go.
    pub fn new(analysis: &Analysis) -> Self {
        let branches = analysis.branches.values();
        let first = branches.filter_map(|b| Some((b.groups.first().copied()?, &b.nodes)));
        Self {
            first: first
                .flat_map(|(g, nodes)| nodes.iter().map(move |&n| (n, g)))
                .collect(),
        }
    }

    /// The group that tells of a node; `None` where it is in no branch.
    pub fn of(&self, node: usize) -> Option<usize> {
        self.first.get(&node).copied()
    }

    /// The one group that tells of all these nodes.
    pub fn of_all(&self, nodes: &[usize]) -> Option<usize> {
        let first = nodes.first().and_then(|&n| self.of(n));
        first.filter(|&f| nodes.iter().all(|&n| self.of(n) == Some(f)))
    }
}
