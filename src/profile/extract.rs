//! The layers of a graph as problems, at any widths.

use crate::channels::{Analysis, BlockedLayout, FusedActivation, IndexRemaps, ValueId, input_value, spec_of};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Dtype, Graph};
use crate::ops::{LinearSpec, groups, is_batch_norm};

use super::problem::{Problem, ProducerLayout};
use super::quantized::quantized;

/// A convolution of the graph.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Index of its node.
    pub node: usize,
    /// Its name, for people.
    pub name: String,
    /// What share of the load it stands for: 1, or its load's weight.
    pub weight: f64,
    /// Its problem at the widths of the file; other widths replace `cin`, `cout` and `groups`.
    pub problem: Problem,
    x: ValueId,
    y: ValueId,
}

impl Layer {
    /// The problem at the widths that `remaps` gives.
    pub fn problem_at(&self, analysis: &Analysis, remaps: &IndexRemaps) -> Problem {
        let dependencies = &analysis.dependencies;
        self.at(remaps.dim(dependencies, self.x, 1), remaps.dim(dependencies, self.y, 1))
    }

    /// The problem at other widths.
    pub fn at(&self, cin: usize, cout: usize) -> Problem {
        self.problem.at(cin, cout)
    }

    /// The activation whose channel axis is the layer's input width, and its output's.
    pub fn widths(&self) -> [(ValueId, usize); 2] {
        [(self.x, 1), (self.y, 1)]
    }
}

/// Every convolution with known shapes, in graph order.
pub fn layers(graph: &Graph, analysis: &Analysis) -> Vec<Layer> {
    (0..graph.proto.node.len())
        .filter_map(|n| layer(graph, analysis, n))
        .collect()
}

fn layer(graph: &Graph, analysis: &Analysis, index: usize) -> Option<Layer> {
    let node = &graph.proto.node[index];
    let spec = LinearSpec::of(node).filter(|_| LinearSpec::slides(node))?;
    let dependencies = &analysis.dependencies;
    let x = input_value(dependencies, node, index, 0)?;
    let y = dependencies.by_name(node.output.first()?)?;
    let w = input_value(dependencies, node, index, spec.weight)?;
    let stored = graph.stored(node.input.get(spec.weight)?);
    let (dtype, quantized) = match stored.filter(|_| spec.quantized.is_none()).map(|w| w.dtype) {
        Some(Dtype::Float) => ("f32".to_owned(), None),
        Some(Dtype::Float16) => ("f16".to_owned(), None),
        Some(_) => return None,
        None => {
            let found = quantized(graph, node)?;
            (found.input, Some(found.quantized))
        }
    };
    let (dx, dy) = (dependencies.dims(x), dependencies.dims(y));
    let kernel = dependencies.dims(w).get(2..)?.to_vec();
    if dx.len() < 3 || dy.len() != dx.len() || dx.contains(&0) || dy.contains(&0) {
        return None;
    }
    let names = ["strides", "pads", "dilations", "output_padding", "output_shape"];
    let lists = names
        .iter()
        .filter_map(|&n| Some((n.to_owned(), node.ints(n)?)))
        .collect();
    let problem = Problem {
        op: node.op_type().to_owned(),
        batch: dx[0],
        cin: dx[1],
        cout: dy[1],
        groups: groups(node)?,
        space: dx[2..].to_vec(),
        kernel,
        lists,
        auto_pad: node.text("auto_pad", ""),
        bias: spec
            .bias()
            .and_then(|i| node.input.get(i))
            .is_some_and(|n| !n.is_empty())
            || followed_by_batch_norm(graph, node),
        activation: activation(graph, node),
        producer_layout: match quantized {
            // Integers have no blocked layout.
            Some(_) => ProducerLayout::Plain,
            None => producer_layout(graph, node.input.first()?),
        },
        dtype,
        quantized,
    };
    Some(Layer {
        node: index,
        name: crate::onnx::label(node, index),
        weight: 1.0,
        problem,
        x,
        y,
    })
}

/// ONNX Runtime folds a BatchNormalization into the convolution before it.
fn followed_by_batch_norm(graph: &Graph, node: &NodeProto) -> bool {
    graph.only_user(node).is_some_and(is_batch_norm)
}

/// The activation behind a layer (past a BatchNormalization) that ONNX Runtime fuses.
fn activation(graph: &Graph, node: &NodeProto) -> String {
    let mut user = graph.only_user(node);
    if let Some(norm) = user
        && is_batch_norm(norm)
    {
        user = graph.only_user(norm);
    }
    let Some(user) = user else {
        return String::new();
    };
    match spec_of(user).map_or(FusedActivation::No, |s| s.fused) {
        FusedActivation::No => String::new(),
        FusedActivation::Plain => user.op_type().to_owned(),
        FusedActivation::Alpha(default) => format!("{}:{}", user.op_type(), user.float("alpha", default)),
    }
}

/// Looks through what keeps the layout to the layer that made a value.
fn producer_layout(graph: &Graph, name: &str) -> ProducerLayout {
    let mut name = name;
    loop {
        let Some(&producer) = graph.producer.get(name) else {
            return ProducerLayout::Input;
        };
        let node = &graph.proto.node[producer];
        if LinearSpec::is_convolution(node) {
            let weights = node.input.get(1).and_then(|n| graph.constant(n));
            return match weights.is_some_and(|w| LinearSpec::is_depthwise(node, &w.dims)) {
                true => ProducerLayout::Depthwise,
                false => ProducerLayout::Plain,
            };
        }
        let kept = spec_of(node).is_some_and(|s| s.layout != BlockedLayout::Left);
        match node.input.first().filter(|_| kept) {
            Some(input) => name = input,
            None => return ProducerLayout::Plain,
        }
    }
}
