//! What is known of extents whatever the inputs are: numbers that never change, and axes that are as long as others.

use std::collections::HashMap;

use super::context::Axis;
use super::dependency_graph::{DependencyGraph, ValueId, input_value};
use super::held_numbers::HeldNumbers;
use super::ops::{Operands, Reach, spec_of};
use super::symbolic_shapes::{Dim, SymbolicShapes};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// Operators whose output has the first axis of the input.
const KEEP_FIRST_AXIS: [&str; 11] = [
    "AveragePool",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "InstanceNormalization",
    "LpPool",
    "MaxPool",
    "SpaceToDepth",
];

/// Extents of a graph's values.
pub(super) struct Extents<'g> {
    graph: &'g Graph<'g>,
    dependencies: &'g DependencyGraph,
    shape: &'g SymbolicShapes,
    held: HeldNumbers<'g>,
    /// For axes that are always as long as one in front: the first such.
    origins: HashMap<Axis, Axis>,
}

impl<'g> Extents<'g> {
    /// Follows all axes from the inputs on.
    pub fn new(graph: &'g Graph<'g>, dependencies: &'g DependencyGraph, shape: &'g SymbolicShapes) -> Self {
        let mut extents = Self {
            graph,
            dependencies,
            shape,
            held: HeldNumbers::of(graph),
            origins: HashMap::new(),
        };
        for (index, node) in graph.proto.node.iter().enumerate() {
            for (axis, same) in extents.kept(index, node).unwrap_or_default() {
                let origin = extents.origin(same);
                extents.origins.insert(axis, origin);
            }
        }
        extents
    }

    /// The number of axes of a value; `None` where its shape is not known.
    pub fn rank(&self, id: ValueId) -> Option<usize> {
        self.dependencies.value(id).dims.as_ref().map(Vec::len)
    }

    /// The extent of an axis, counted from the last, if it is the same for all inputs; 1 beyond the first axis.
    pub fn fixed(&self, id: ValueId, from_last: usize) -> Option<usize> {
        let Some(axis) = self.rank(id)?.checked_sub(from_last + 1) else {
            return Some(1);
        };
        let value = self.dependencies.value(id);
        let told = !value.dynamic.contains(&axis) && self.held.settle_extents(&value.name);
        self.dependencies.dims(id).get(axis).copied().filter(|_| told)
    }

    /// Whether an axis, counted from the last, is as long as another, counted from the first, for all inputs.
    pub fn is_as_long(&self, id: ValueId, from_last: usize, other: Axis) -> bool {
        let axis = self.rank(id).and_then(|rank| rank.checked_sub(from_last + 1));
        axis.is_some_and(|axis| self.origin((id, axis)) == self.origin(other))
    }

    /// The elements of a shape that is an input of a node, where all of them are followed and no caller may change them otherwise.
    pub fn told(&self, name: &str) -> Option<Vec<Dim>> {
        let elements = self.shape.get(self.graph, name)?;
        let followed = !elements.contains(&Dim::Computed) && self.held.settle_numbers(name);
        Some(elements).filter(|_| followed)
    }

    /// What an element of a shape was when the model was run.
    pub fn seen(&self, element: Dim) -> Option<usize> {
        match element {
            Dim::Fixed(v) | Dim::Derived(v, ..) => usize::try_from(v).ok(),
            Dim::Of(id, axis) => self.dependencies.dims(id).get(axis).copied(),
            Dim::Computed => None,
        }
    }

    fn origin(&self, axis: Axis) -> Axis {
        self.origins.get(&axis).copied().unwrap_or(axis)
    }

    /// Axes of a node's outputs, each with one in front that is always as long.
    fn kept(&self, index: usize, node: &NodeProto) -> Option<Vec<(Axis, Axis)>> {
        let spec = spec_of(node)?;
        let (x, y) = (
            input_value(self.dependencies, node, index, 0)?,
            self.dependencies.by_name(node.output.first()?)?,
        );
        let (before, rank) = (self.rank(x)?, self.rank(y)?);
        let all = |same: &dyn Fn(usize) -> Option<Axis>| {
            let axes = (0..rank).filter_map(|axis| Some(((y, axis), same(axis)?)));
            Some(axes.collect())
        };
        match spec.name {
            _ if spec.reach == Reach::Own && before == rank => all(&|axis| Some((x, axis))),
            _ if spec.operands == Operands::Broadcast => all(&|axis| self.broadcast(index, node, rank - axis - 1)),
            "Gemm" if node.int("transA", 0) == 0 => Some(vec![((y, 0), (x, 0))]),
            name if KEEP_FIRST_AXIS.contains(&name) => Some(vec![((y, 0), (x, 0))]),
            "Concat" => {
                let along = node.int("axis", 1);
                let along = if along < 0 { along + rank as i64 } else { along };
                all(&|axis| (axis as i64 != along).then_some((x, axis)))
            }
            "Reshape" => {
                let target = self.told(node.input.get(1)?).filter(|t| t.len() == rank)?;
                all(&|axis| match target[axis] {
                    Dim::Of(id, at) if self.seen(target[axis]) == Some(self.dependencies.dims(y)[axis]) => {
                        Some((id, at))
                    }
                    Dim::Fixed(0) if axis < before && node.int("allowzero", 0) == 0 => Some((x, axis)),
                    _ => None,
                })
            }
            "Expand" => {
                let target = self.told(node.input.get(1)?).filter(|t| t.len() == rank)?;
                all(&|axis| match target[axis] {
                    Dim::Of(id, at) => {
                        let last = rank - axis - 1;
                        let repeated = self.fixed(x, last) == Some(1) || self.is_as_long(x, last, (id, at));
                        repeated.then_some((id, at))
                    }
                    _ => None,
                })
            }
            _ => None,
        }
    }

    /// An input's axis that is always as long as the output's, of an operator that repeats its inputs; counted from the last.
    fn broadcast(&self, index: usize, node: &NodeProto, from_last: usize) -> Option<Axis> {
        let mut found: Option<Axis> = None;
        for input in 0..node.input.len() {
            let id = input_value(self.dependencies, node, index, input)?;
            if self.fixed(id, from_last) == Some(1) {
                continue;
            }
            let axis = self.origin((id, self.rank(id)?.checked_sub(from_last + 1)?));
            if found.is_some_and(|other| other != axis) {
                return None;
            }
            found = Some(axis);
        }
        found
    }
}
