//! New channels that are exactly zero, followed through the graph: what growth at the end of an axis rests on.

use std::collections::HashSet;

use super::dependency_graph::{DependencyGraph, ValueId, input_value};
use crate::onnx::proto::NodeProto;

/// Whether a node's first output is zero at the new channels of one group, other inputs being finite. Nothing is proven behind an
/// operator without a rule.
pub type ZeroRule = fn(&ZeroInput) -> bool;

/// A node whose first output has channels of the group.
pub struct ZeroInput<'a> {
    /// The node.
    pub node: &'a NodeProto,
    /// Its index in the graph.
    pub index: usize,
    /// The channel dependency graph.
    pub dependencies: &'a DependencyGraph,
    /// The channels of the group.
    pub group: &'a HashSet<u32>,
    /// Activations that are zero at every new channel.
    pub zero: &'a HashSet<ValueId>,
    /// The axes of the first output that have channels of the group.
    pub axes: &'a [usize],
    /// Number of axes of the first output.
    pub rank: usize,
}

/// The axes of a value that have channels of a group.
pub(super) fn axes_with(co: &DependencyGraph, group: &HashSet<u32>, id: ValueId) -> Vec<usize> {
    let with = |&axis: &usize| co.classes_of(id, axis).iter().any(|c| group.contains(c));
    (0..co.dims(id).len()).filter(with).collect()
}

impl ZeroInput<'_> {
    fn value(&self, i: usize) -> Option<ValueId> {
        input_value(self.dependencies, self.node, self.index, i)
    }

    /// The axes of input `i` that have channels of the group.
    fn axes_of(&self, i: usize) -> Vec<usize> {
        let id = self.value(i);
        id.map_or_else(Vec::new, |id| axes_with(self.dependencies, self.group, id))
    }

    /// Whether input `i` has channels of the group and is zero at new ones: known so, or a constant that grows by zeros.
    pub fn is_zero(&self, i: usize) -> bool {
        let grows_by_zeros = |id| {
            let value = self.dependencies.value(id);
            value.constant_use.is_some() && value.fill == Some(0.0)
        };
        let id = self.value(i);
        id.is_some_and(|id| self.zero.contains(&id) || grows_by_zeros(id)) && !self.axes_of(i).is_empty()
    }

    /// Whether input `i` is not there.
    pub fn is_absent(&self, i: usize) -> bool {
        self.node.input.get(i).is_none_or(String::is_empty)
    }

    fn inputs(&self) -> impl Iterator<Item = usize> {
        (0..self.node.input.len()).filter(|&i| !self.is_absent(i))
    }
}

/// Where the first input is: what becomes of one element, of elements that move, and of those of one channel.
pub(super) fn as_first(z: &ZeroInput) -> bool {
    z.is_zero(0) && z.axes_of(0).len() == z.axes.len()
}

/// Where every input that has the channels is: parts side by side.
pub(super) fn as_parts(z: &ZeroInput) -> bool {
    z.axes.len() == 1 && z.inputs().all(|i| z.is_zero(i) || z.axes_of(i).is_empty())
}

/// Where every input is: sums and extremes.
pub(super) fn as_all(z: &ZeroInput) -> bool {
    z.axes.len() == 1 && z.inputs().all(|i| z.is_zero(i))
}

/// Where any input is: products, element by element.
pub(super) fn as_any(z: &ZeroInput) -> bool {
    z.axes.len() == 1 && z.inputs().any(|i| z.is_zero(i))
}

/// On axis 1, which the parameters (weights or a scale, and perhaps a bias) make, whatever the input is.
pub(super) fn by_parameters(z: &ZeroInput) -> bool {
    z.axes == [1] && z.is_zero(1) && (z.is_absent(2) || z.is_zero(2))
}

/// A product of stacks of matrices: the output has the rows of the first operand and the columns of the second.
pub(super) fn matmul(z: &ZeroInput) -> bool {
    match z.axes {
        [axis] if axis + 1 == z.rank => z.is_zero(1),
        [axis] if axis + 2 == z.rank => z.is_zero(0),
        _ => false,
    }
}

/// A running sum over another axis.
pub(super) fn running_sum(z: &ZeroInput) -> bool {
    let marks = &z.dependencies.end_marks;
    as_first(z) && !marks.iter().any(|m| m.node == z.index && z.axes.contains(&m.axis))
}
