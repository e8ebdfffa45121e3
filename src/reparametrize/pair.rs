//! One layer as two: what makes r values and what makes all outputs of these.

use super::trunk::mixing;
use crate::onnx::proto::{ModelProto, NodeProto};
use crate::onnx::{Attributes, Graph, Tensor, label};
use crate::ops::{Direction, Form, LinearOp};
use crate::plan::Pair;
use crate::{Error, Result};

impl Pair {
    /// The pair that a layer would be; both its parts are named when it is one.
    pub fn of(graph: &Graph, layer: &LinearOp) -> Self {
        Self {
            layer: label(&graph.proto.node[layer.node], layer.node),
            inner: String::new(),
            output: layer.output.clone(),
        }
    }
}

/// Layers with fewer outputs have too few directions to choose from.
const LEAST_WIDTH: usize = 16;

/// The least number of values between both layers at which two take as many multiply-accumulates as one: inputs · taps · outputs over
/// their sum.
pub fn break_even(layer: &LinearOp) -> f64 {
    let (columns, outputs) = (layer.columns() as f64, layer.outputs as f64);
    columns * outputs / (columns + outputs)
}

/// Whether a layer may stand as two: a convolution that mixes all its channels, wide enough.
pub fn factorable(graph: &Graph, node: usize) -> Option<LinearOp> {
    let layer = mixing(graph, node)?;
    let Form::Conv(spec) = &layer.form else { return None };
    let forward = spec.direction == Direction::Forward;
    (forward && layer.outputs >= LEAST_WIDTH && layer.columns() > layer.outputs / 2 && layer.takes_bias)
        .then_some(layer)
}

/// The model with some convolutions as two: each makes what it made without its bias, and a convolution of one place behind it with
/// the identity as its weights hands that on and adds the bias.
///
/// # Errors
/// When a node is none that may stand as two.
pub fn with_pairs(model: &ModelProto, nodes: &[usize]) -> Result<(ModelProto, Vec<Pair>)> {
    let mut changed = model.clone();
    let graph = Graph::of(model)?;
    let Some(new) = changed.graph.as_mut() else {
        return Err(Error::Model("the model has no graph".to_owned()));
    };
    let taken = |n: &str| graph.producer.contains_key(n) || graph.initializers.contains_key(n);
    let fresh = |stem: String| {
        let numbered = (2..).map(|k| format!("{stem}{k}"));
        let found = std::iter::once(stem.clone()).chain(numbered).find(|n| !taken(n));
        found.unwrap_or_default()
    };
    let (mut placed, mut pairs) = (Vec::new(), Vec::new());
    for (index, mut node) in std::mem::take(&mut new.node).into_iter().enumerate() {
        // What has no name is called after its place, which may be another from here on.
        node.name = Some(label(&node, index));
        if !nodes.contains(&index) {
            placed.push(node);
            continue;
        }
        let layer = factorable(&graph, index)
            .ok_or_else(|| Error::Plan(format!("{} may not stand as two layers", label(&node, index))))?;
        let Form::Conv(spec) = &layer.form else { continue };
        let name = label(&node, index);
        let output = layer.output.clone();
        let inner = fresh(format!("{output}.rank"));
        let weights = fresh(format!("{output}.expand.weight"));
        let (mut first, width, ones) = (node, layer.outputs, vec![1; spec.rank()]);
        first.name = Some(name.clone());
        first.output[0].clone_from(&inner);
        let bias = (first.input.len() > 2).then(|| first.input.remove(2));
        let mut second = NodeProto {
            op_type: Some("Conv".to_owned()),
            name: Some(format!("{name}/expand")),
            input: [inner.clone(), weights.clone()].into_iter().chain(bias).collect(),
            output: vec![output.clone()],
            ..Default::default()
        };
        second.set_ints("kernel_shape", ones.clone());
        let identity: Vec<f32> = (0..width * width)
            .map(|k| f32::from(u8::from(k / width == k % width)))
            .collect();
        let dims = [width, width].into_iter().chain(ones.iter().map(|_| 1)).collect();
        new.initializer
            .push(Tensor::from_f32(dims, &identity).to_proto(&weights));
        placed.extend([first, second]);
        pairs.push(Pair {
            layer: name,
            inner,
            output,
        });
    }
    new.node = placed;
    // Notes on inner values would be notes on others.
    new.value_info.clear();
    Ok((changed, pairs))
}
