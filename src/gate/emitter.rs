//! What all nodes of a gate are made with: its block, its float type, and the nodes so far.

use std::collections::HashMap;

use super::spec::Gate;
use crate::onnx::NodeBuilder;
use crate::onnx::{Dtype, Graph, Tensor};

/// What the nodes of one gate are made with.
pub(super) struct GateEmitter<'a> {
    /// The nodes and constants so far.
    pub builder: NodeBuilder,
    /// The graph that the gate's block is part of.
    pub graph: &'a Graph<'a>,
    /// The gate.
    pub gate: &'a Gate,
    /// The float type of the block's weights.
    pub dtype: Dtype,
    /// Version of ONNX's operators.
    pub opset: i64,
}

/// What copies of nodes call what they make.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Fresh,
    Own,
}

impl GateEmitter<'_> {
    /// A constant in the block's float type.
    pub(super) fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let tensor = Tensor::from_f32(dims.to_vec(), values).cast(self.dtype);
        self.builder.constant(&tensor)
    }

    /// The value of the attribute that names a float type in `Cast`.
    pub(super) fn float_type(&self) -> i64 {
        self.dtype as i64
    }

    /// Samples in a run where the file fixes them.
    pub(super) fn batch(&self) -> Option<usize> {
        self.gate.block.batch
    }

    /// Adds a number to every channel; nothing where all are zero.
    pub(super) fn plus(&mut self, x: &str, by_channel: &[f32]) -> String {
        if by_channel.iter().all(|&v| v == 0.0) {
            return x.to_owned();
        }
        let fill = self.floats(&[1, by_channel.len(), 1, 1], by_channel);
        self.builder.op("Add", &[x, &fill], &[])
    }

    /// Nodes of the original on another input, which has the channels `kept` only; the value that the last one makes.
    pub(super) fn cloned(&mut self, nodes: &[usize], x: &str, kept: Option<&str>) -> String {
        self.copied(nodes, x, kept, Names::Fresh)
    }

    /// Nodes of the original on another input, each under its own name; only the block's output gets another, as it may yet be masked. The
    /// value that the last one makes.
    pub(super) fn same(&mut self, nodes: &[usize], x: &str) -> String {
        self.copied(nodes, x, None, Names::Own)
    }

    fn copied(&mut self, nodes: &[usize], x: &str, kept: Option<&str>, names_of: Names) -> String {
        let all = &self.graph.proto.node;
        let mut names: HashMap<&str, String> = HashMap::new();
        let made: Vec<&str> = nodes
            .iter()
            .filter_map(|&n| all[n].output.first())
            .map(String::as_str)
            .collect();
        let mut last = x.to_owned();
        for &index in nodes {
            let mut node = all[index].clone();
            for (i, input) in node.input.iter_mut().enumerate() {
                let own = names.get(all[index].input[i].as_str()).cloned();
                let constant = self.graph.constant(input).filter(|_| i > 0);
                if let Some(own) = own {
                    *input = own;
                } else if let (Some(constant), Some(kept)) = (&constant, kept) {
                    if constant.len() > 1 {
                        *input = self.builder.op("Gather", &[input, kept], &[("axis", &[0])]);
                    }
                } else if !input.is_empty() && constant.is_none() && !made.contains(&input.as_str()) {
                    x.clone_into(input);
                }
            }
            let own = all[index].output.first().filter(|o| **o != self.gate.block.output);
            last = match own.filter(|_| names_of == Names::Own) {
                Some(own) => own.clone(),
                None => {
                    let fresh = self.builder.fresh(all[index].op_type());
                    node.name = Some(format!("{fresh}_node"));
                    fresh
                }
            };
            node.output = vec![last.clone()];
            if let Some(name) = all[index].output.first() {
                names.insert(name, last.clone());
            }
            self.builder.nodes.push(node);
        }
        last
    }

    /// Gives the value that the last node makes the name of the block's output.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        for node in &mut self.builder.nodes {
            for output in node.output.iter_mut().filter(|o| *o == from) {
                to.clone_into(output);
            }
        }
    }
}
