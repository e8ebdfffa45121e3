//! Making nodes and constants with names of their own.

use super::attribute::Attributes;
use super::proto::{AttributeProto, NodeProto, TensorProto, attribute_proto::AttributeType};
use super::tensor::Tensor;

/// Nodes and constants under one prefix.
#[derive(Debug, Default)]
pub struct NodeBuilder {
    prefix: String,
    count: usize,
    /// In the order in which they run.
    pub nodes: Vec<NodeProto>,
    /// Initializers that the nodes read.
    pub constants: Vec<TensorProto>,
}

impl NodeBuilder {
    /// Names begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ..Self::default()
        }
    }

    /// A name that nothing else has here.
    pub fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{}/{what}_{}", self.prefix, self.count)
    }

    /// Adds a constant.
    pub fn constant(&mut self, tensor: &Tensor) -> String {
        let name = self.fresh("c");
        self.constants.push(tensor.to_proto(&name));
        name
    }

    /// Adds a one-dimensional constant of integers.
    pub fn ints(&mut self, values: &[i64]) -> String {
        self.constant(&Tensor::from_i64(values))
    }

    /// Adds a constant of integers with extents.
    pub fn table(&mut self, dims: &[usize], values: &[i64]) -> String {
        let mut tensor = Tensor::from_i64(values);
        tensor.dims = dims.to_vec();
        self.constant(&tensor)
    }

    /// Adds a node with one output, which is named here.
    pub fn op(&mut self, kind: &str, inputs: &[&str], attributes: &[(&str, &[i64])]) -> String {
        let output = self.fresh(kind);
        self.named(kind, inputs, attributes, &output);
        output
    }

    /// Adds a node that makes `output`. One integer is an integer attribute where ONNX has it so.
    pub fn named(&mut self, kind: &str, inputs: &[&str], attributes: &[(&str, &[i64])], output: &str) {
        let mut node = NodeProto {
            op_type: Some(kind.to_owned()),
            name: Some(format!("{output}_node")),
            input: inputs.iter().map(|&n| n.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        };
        for (name, values) in attributes {
            match (SINGLE.contains(name), values) {
                (true, [one]) => node.set_int(name, *one),
                _ => node.set_ints(name, values.to_vec()),
            }
        }
        self.nodes.push(node);
    }

    /// `Reshape` to extents as ONNX reads them (0: as before, -1: what is left).
    pub fn reshape(&mut self, x: &str, dims: &[i64]) -> String {
        let shape = self.ints(dims);
        self.op("Reshape", &[x, &shape], &[])
    }

    /// The indices of the `k` greatest along axis 1 of N×C values.
    pub fn top(&mut self, x: &str, k: usize) -> String {
        let k = self.ints(&[k as i64]);
        let indices = self.op("TopK", &[x, &k], &[("axis", &[1])]);
        let values = self.fresh("values");
        if let Some(node) = self.nodes.last_mut() {
            node.output.insert(0, values);
        }
        indices
    }

    /// Gives the last node a text attribute.
    pub fn text(&mut self, name: &str, value: &str) {
        if let Some(node) = self.nodes.last_mut() {
            node.attribute.push(AttributeProto {
                name: Some(name.to_owned()),
                r#type: Some(AttributeType::String as i32),
                s: Some(value.as_bytes().to_vec()),
                ..Default::default()
            });
        }
    }
}

/// Attributes that are one integer.
const SINGLE: [&str; 9] = [
    "axis",
    "group",
    "exclusive",
    "to",
    "keepdims",
    "largest",
    "transA",
    "transB",
    "sorted",
];
