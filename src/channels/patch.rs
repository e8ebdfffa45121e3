//! What an operator's second handler sees: a node that follows the new axes.

use super::dependency_graph::{DependencyGraph, ValueId, input_value};
use super::index_remap::IndexRemaps;
use super::symbolic_shapes::{SymbolicShapes, settled};
use crate::onnx::proto::{NodeProto, TensorProto};
use crate::onnx::{Attributes, Graph, Tensor};
use crate::{Error, Result};

/// The view of a node while a plan is applied to it.
pub struct Patch<'a> {
    /// The node, to be changed.
    pub node: &'a mut NodeProto,
    /// Its index in the graph.
    pub index: usize,
    /// The version of the standard operators.
    pub opset: i64,
    /// The relation.
    pub co: &'a DependencyGraph,
    /// The new axes.
    pub remaps: &'a IndexRemaps,
    /// Look-ups over the original graph.
    pub graph: &'a Graph<'a>,
    /// Integer vectors of the original graph.
    pub shape: &'a SymbolicShapes,
    /// Initializers to add.
    pub added: &'a mut Vec<TensorProto>,
}

impl Patch<'_> {
    /// Input `i`.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        input_value(self.co, self.node, self.index, i)
    }

    /// Output `i`.
    pub fn output(&self, i: usize) -> Option<ValueId> {
        self.node.output.get(i).and_then(|n| self.co.by_name(n))
    }

    /// The attribute `axis` (or its `default`), counted from the front of `rank` axes.
    pub fn axis(&self, default: i64, rank: usize) -> usize {
        let axis = self.node.int("axis", default);
        (if axis < 0 { axis + rank as i64 } else { axis }) as usize
    }

    /// The channels of an axis in their new order: the channel, and which copy of it.
    pub fn order(&self, id: ValueId, axis: usize) -> Vec<(u32, Option<u32>)> {
        let class = |i: usize| self.co.class(self.co.atom(id, axis, i));
        match self.remaps.get(id, axis) {
            Some(remap) => remap.sources.iter().map(|s| (class(s.old), s.copy)).collect(),
            None => (0..self.co.dims(id)[axis]).map(|i| (class(i), None)).collect(),
        }
    }

    /// The channels in `from..to` of an axis' old order, in their new order.
    pub fn order_in(&self, id: ValueId, axis: usize, from: usize, to: usize) -> Vec<(u32, Option<u32>)> {
        match self.remaps.get(id, axis) {
            Some(remap) => {
                let all = self.order(id, axis).into_iter().zip(&remap.sources);
                all.filter(|(_, s)| (from..to).contains(&s.old))
                    .map(|(o, _)| o)
                    .collect()
            }
            None => self.order(id, axis)[from..to].to_vec(),
        }
    }

    /// Refuses a change under which two sides of the operator would not hold the same channels.
    pub fn line_up(&self, a: &[(u32, Option<u32>)], b: &[(u32, Option<u32>)]) -> Result<()> {
        if a == b {
            return Ok(());
        }
        Err(Error::Plan(format!(
            "the channels around {} would not line up",
            crate::onnx::label(self.node, self.index)
        )))
    }

    /// The integers of input `i` when they are written in the file.
    pub fn constant_ints(&self, i: usize) -> Option<Vec<i64>> {
        self.graph.constant(self.node.input.get(i)?)?.to_i64()
    }

    /// The integers of input `i` that hold whatever the inputs are.
    pub fn settled_ints(&self, i: usize) -> Option<Vec<i64>> {
        let elements = self.shape.get(self.graph, self.node.input.get(i)?)?;
        elements.iter().map(|e| settled(e, self.co).map(|(v, _)| v)).collect()
    }

    /// Replaces input `i` with a new constant that keeps the old one's integer type and rank.
    pub fn replace_ints(&mut self, i: usize, values: &[i64]) {
        let old = self.node.input.get(i).and_then(|n| self.graph.constant(n));
        let mut tensor = Tensor::from_i64(values);
        if let Some(old) = old {
            if old.dtype == crate::onnx::Dtype::Int32 {
                tensor.dtype = old.dtype;
                tensor.bytes = values.iter().flat_map(|&v| (v as i32).to_le_bytes()).collect();
            }
            if old.dims.is_empty() && values.len() == 1 {
                tensor.dims.clear();
            }
        }
        self.replace(i, &tensor);
    }

    /// Replaces input `i` with a new constant.
    pub fn replace(&mut self, i: usize, tensor: &Tensor) {
        let mut name = format!("snapprune.{}.{i}", self.index);
        while self.graph.initializers.contains_key(name.as_str()) || self.graph.producer.contains_key(name.as_str()) {
            name.push('_');
        }
        self.added.push(tensor.to_proto(&name));
        while self.node.input.len() <= i {
            self.node.input.push(String::new());
        }
        self.node.input[i] = name;
    }
}
