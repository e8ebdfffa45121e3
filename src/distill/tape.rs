//! Vector-Jacobian products of a graph, as nodes of another: reverse-mode differentiation (Griewank and Walther, 2008).

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::onnx::proto::NodeProto;
use crate::onnx::{Graph, NodeBuilder, Tensor, captured_names};

/// What a rule gives: a gradient for some of a node's inputs, by their number.
pub(super) type Products = Vec<(usize, String)>;

/// Gradients of one number with respect to the values of a graph, from the last node to the first.
pub(super) struct Tape<'g> {
    /// The graph that is differentiated.
    pub graph: &'g Graph<'g>,
    /// The version of its operators.
    pub opset: i64,
    /// Extents of its values of float32.
    pub dims: &'g HashMap<String, Vec<usize>>,
    /// Its whole numbers that no input has a part in, where they are short.
    pub lists: &'g HashMap<String, Vec<i64>>,
    /// The nodes that compute gradients.
    pub builder: NodeBuilder,
    /// Values that depend on a weight that is trained, of any type.
    pub depends: HashSet<String>,
    /// Those of float32 among them, and the weights.
    pub wanted: HashSet<String>,
    /// The gradient of each value so far.
    pub gradients: HashMap<String, String>,
    /// Values whose gradient is not all known.
    pub stopped: HashSet<String>,
    /// Operators without a rule that a gradient met.
    pub without_rule: BTreeSet<String>,
}

impl<'g> Tape<'g> {
    /// Before the last node, for weights that may be trained.
    pub fn new(
        graph: &'g Graph<'g>,
        opset: i64,
        dims: &'g HashMap<String, Vec<usize>>,
        lists: &'g HashMap<String, Vec<i64>>,
        weights: &HashSet<String>,
    ) -> Self {
        let mut depends = weights.clone();
        for node in graph.proto.node.iter().filter(|n| !is_flat(n)) {
            let captured = captured_names(node);
            if node.input.iter().chain(&captured).any(|i| depends.contains(i)) {
                depends.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
            }
        }
        let floats = |name: &&String| weights.contains(*name) || dims.contains_key(*name);
        let wanted = depends.iter().filter(floats).cloned().collect();
        Self {
            graph,
            opset,
            dims,
            lists,
            builder: NodeBuilder::new("gradient"),
            depends,
            wanted,
            gradients: HashMap::new(),
            stopped: HashSet::new(),
            without_rule: BTreeSet::new(),
        }
    }

    /// Whether a gradient with respect to input `i` of a node leads to a weight.
    pub fn wants(&self, node: &NodeProto, i: usize) -> bool {
        node.input.get(i).is_some_and(|name| self.wanted.contains(name))
    }

    /// Extents of input `i` of a node.
    pub fn input_dims(&self, node: &NodeProto, i: usize) -> Option<Vec<usize>> {
        self.dims.get(node.input.get(i)?).cloned()
    }

    /// A known list of whole numbers: input `i` of a node, or its attribute where that is how the operator was written once.
    pub fn list(&self, node: &NodeProto, i: usize, attribute: &str) -> Option<Vec<i64>> {
        use crate::onnx::Attributes;
        match node.input.get(i).filter(|n| !n.is_empty()) {
            Some(name) => match self.lists.get(name) {
                Some(list) => Some(list.clone()),
                None => self.graph.stored(name)?.to_i64(),
            },
            None => node.ints(attribute),
        }
    }

    /// A stored number: input `i` of a node, or its attribute.
    pub fn number(&self, node: &NodeProto, i: usize, attribute: &str, default: f32) -> Option<f32> {
        use crate::onnx::Attributes;
        match node.input.get(i).filter(|n| !n.is_empty()) {
            Some(name) => self.graph.stored(name)?.to_f32()?.first().copied(),
            None => Some(node.float(attribute, default)),
        }
    }

    /// A constant of one number.
    pub fn scalar(&mut self, value: f32) -> String {
        self.builder.constant(&Tensor::from_f32(vec![], &[value]))
    }

    /// Adds to the gradient of a value.
    pub fn add(&mut self, value: &str, gradient: String) {
        let sum = match self.gradients.get(value).cloned() {
            Some(other) => self.builder.op("Add", &[&other, &gradient], &[]),
            None => gradient,
        };
        self.gradients.insert(value.to_owned(), sum);
    }

    /// The gradient of a value, where all of it is known.
    pub fn gradient(&self, value: &str) -> Option<&String> {
        self.gradients.get(value).filter(|_| !self.stopped.contains(value))
    }
}

/// Whether what a node makes does not change with small changes of what it reads: masks pass no gradient to what they are chosen by.
fn is_flat(node: &NodeProto) -> bool {
    let kinds = [
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "And",
        "Or",
        "Xor",
        "Not",
        "ArgMax",
        "ArgMin",
    ];
    kinds.contains(&node.op_type())
}
