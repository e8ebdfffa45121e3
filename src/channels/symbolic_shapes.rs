//! Shape arithmetic: which elements of small integer tensors are fixed and which are the size of some axis.
//!
//! Exporters compute the targets of `Reshape`, `Expand` and `Resize` from `Shape`. Knowing that
//! an element is "extent 0 of x" (usually the batch) keeps the channels of x free.

use std::collections::HashMap;

use super::dependency_graph::{Constraint, DependencyGraph, ValueId};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// An element of an integer vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A number written in the file.
    Fixed(i64),
    /// The size of an axis.
    Of(ValueId, usize),
    /// A number computed from the size of an axis that no input changes.
    Derived(i64, ValueId, usize),
    /// Computed in a way that is not followed; the axes it depends on are constrained.
    Computed,
}

/// The integer vectors known so far, by value name.
#[derive(Debug, Default)]
pub struct SymbolicShapes {
    known: HashMap<String, Vec<Dim>>,
}

const LIMIT: usize = 64;

impl SymbolicShapes {
    /// The elements of a value, from the file or from followed arithmetic.
    pub fn get(&self, graph: &Graph, name: &str) -> Option<Vec<Dim>> {
        if let Some(found) = self.known.get(name) {
            return Some(found.clone());
        }
        let tensor = graph.constant(name)?;
        let values = tensor.to_i64().filter(|v| v.len() <= LIMIT)?;
        Some(values.into_iter().map(Dim::Fixed).collect())
    }

    /// Follows one node. `true` when it is shape arithmetic and is done with.
    pub fn follow(
        &mut self,
        graph: &Graph,
        node: &NodeProto,
        dependencies: &mut DependencyGraph,
        index: usize,
    ) -> bool {
        let Some(output) = node.output.first() else {
            return false;
        };
        if node.op_type() == "Shape" {
            return self.shape(node, output, dependencies);
        }
        let dynamic = node.input.iter().any(|n| self.known.contains_key(n));
        if !dynamic {
            return false;
        }
        let inputs: Vec<Option<Vec<Dim>>> = node.input.iter().map(|n| self.get(graph, n)).collect();
        let fixed = |k: usize| -> Option<Vec<i64>> { inputs.get(k)?.as_ref()?.iter().map(fixed_value).collect() };
        let first = || inputs.first().cloned().flatten();
        let result = match node.op_type() {
            "Identity" | "Cast" | "Squeeze" | "Unsqueeze" | "Reshape" => first(),
            "Concat" => inputs.iter().cloned().collect::<Option<Vec<_>>>().map(|v| v.concat()),
            "Gather" if node.int("axis", 0) == 0 => first().and_then(|data| {
                fixed(1)?
                    .into_iter()
                    .map(|i| data.get(wrap(i, data.len())?).copied())
                    .collect()
            }),
            "Slice" => first().and_then(|data| slice(&data, node, &fixed)),
            "Add" | "Sub" | "Mul" | "Div" => arithmetic(node.op_type(), &inputs, dependencies),
            _ => None,
        };
        match result {
            Some(elements) if elements.len() <= LIMIT => {
                self.known.insert(output.clone(), elements);
                true
            }
            _ => self.give_up(node, &inputs, dependencies, index),
        }
    }

    fn shape(&mut self, node: &NodeProto, output: &str, dependencies: &DependencyGraph) -> bool {
        let Some(id) = node.input.first().and_then(|n| dependencies.by_name(n)) else {
            return false;
        };
        let Some(rank) = dependencies.value(id).dims.as_ref().map(Vec::len) else {
            return false;
        };
        let clamp = |v: i64| {
            v.saturating_add(if v < 0 { rank as i64 } else { 0 })
                .clamp(0, rank as i64)
        };
        let start = clamp(node.int("start", 0));
        let end = clamp(node.int("end", rank as i64));
        let elements = (start..end).map(|axis| Dim::Of(id, axis as usize)).collect();
        self.known.insert(output.to_owned(), elements);
        true
    }

    /// Anything else may do what it likes with a size: the size is then fixed.
    fn give_up(
        &mut self,
        node: &NodeProto,
        inputs: &[Option<Vec<Dim>>],
        dependencies: &mut DependencyGraph,
        index: usize,
    ) -> bool {
        const ARITHMETIC: [&str; 12] = [
            "Add", "Sub", "Mul", "Div", "Mod", "Floor", "Ceil", "Cast", "Gather", "Slice", "Min", "Max",
        ];
        if READS_EXTENTS.contains(&node.op_type()) {
            return false;
        }
        let axes: Vec<_> = inputs.iter().flatten().flatten().copied().collect();
        constrain_dims(dependencies, index, node.op_type(), &axes);
        if !ARITHMETIC.contains(&node.op_type()) {
            return false;
        }
        for output in &node.output {
            self.known
                .insert(output.clone(), vec![Dim::Computed; axes.len().min(LIMIT)]);
        }
        inputs.iter().all(Option::is_some)
    }
}

/// Operators whose rules read sizes themselves.
const READS_EXTENTS: [&str; 5] = ["Reshape", "Expand", "Resize", "Upsample", "Slice"];

/// Fixes the axes whose sizes a node computes with.
pub(super) fn constrain_dims(dependencies: &mut DependencyGraph, node: usize, op: &str, shape: &[Dim]) {
    for dim in shape {
        if let Dim::Of(id, axis) | Dim::Derived(_, id, axis) = *dim {
            let constraint = dependencies.lock_id(Constraint {
                node: Some(node),
                reason: format!("{op} computes with this extent; export with static shapes to free it"),
                silent: false,
            });
            dependencies.lock_axis(id, axis, constraint);
        }
    }
}

fn fixed_value(dim: &Dim) -> Option<i64> {
    match dim {
        Dim::Fixed(v) => Some(*v),
        _ => None,
    }
}

/// The number that an element holds whatever the inputs are, and the axis it comes from, if from one.
pub(super) fn settled(dim: &Dim, dependencies: &DependencyGraph) -> Option<(i64, Option<(ValueId, usize)>)> {
    match *dim {
        Dim::Fixed(v) => Some((v, None)),
        Dim::Derived(v, id, axis) => Some((v, Some((id, axis)))),
        Dim::Of(id, axis) if !dependencies.value(id).dynamic.contains(&axis) => {
            Some((dependencies.dims(id)[axis] as i64, Some((id, axis))))
        }
        _ => None,
    }
}

/// Integer arithmetic, element by element, on numbers that stem from one axis.
fn arithmetic(op: &str, inputs: &[Option<Vec<Dim>>], dependencies: &DependencyGraph) -> Option<Vec<Dim>> {
    let [Some(a), Some(b)] = inputs else {
        return None;
    };
    let len = a.len().max(b.len());
    let pick = |side: &[Dim], i: usize| side.get(if side.len() == 1 { 0 } else { i }).copied();
    (0..len)
        .map(|i| {
            let ((a, from_a), (b, from_b)) = (
                settled(&pick(a, i)?, dependencies)?,
                settled(&pick(b, i)?, dependencies)?,
            );
            let value = match op {
                "Add" => a.checked_add(b),
                "Sub" => a.checked_sub(b),
                "Mul" => a.checked_mul(b),
                _ => a.checked_div(b),
            }?;
            match (from_a, from_b) {
                (None, None) => Some(Dim::Fixed(value)),
                (Some((id, axis)), None) | (None, Some((id, axis))) => Some(Dim::Derived(value, id, axis)),
                (Some(one), Some(other)) if one == other => Some(Dim::Derived(value, one.0, one.1)),
                _ => None,
            }
        })
        .collect()
}

fn wrap(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 {
        index.checked_add(len as i64)?
    } else {
        index
    };
    usize::try_from(index).ok().filter(|&i| i < len)
}

fn slice(data: &[Dim], node: &NodeProto, fixed: &dyn Fn(usize) -> Option<Vec<i64>>) -> Option<Vec<Dim>> {
    let read = |k: usize, name: &str| node.ints(name).or_else(|| fixed(k));
    let start = *read(1, "starts")?.first()?;
    let end = *read(2, "ends")?.first()?;
    if node.input.len() > 4 && fixed(4)?.first() != Some(&1) {
        return None;
    }
    let len = data.len() as i64;
    let clamp = |v: i64| (if v < 0 { v.saturating_add(len) } else { v }).clamp(0, len) as usize;
    Some(data.get(clamp(start)..clamp(end)).unwrap_or_default().to_vec())
}
