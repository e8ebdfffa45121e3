//! One convolution of a branch as a node, on all channels or on chosen ones.

use super::emitter::GateEmitter;
use super::layer::BranchLayer;
use super::window::Tiling;
use crate::onnx::Tensor;
use crate::{Error, Result};

/// A convolution of some channels only: the values with their indices.
#[derive(Clone, Copy, Default)]
pub(super) struct CutChannels<'i> {
    pub outputs: Option<&'i str>,
    pub inputs: Option<&'i str>,
    /// The groups of a depthwise convolution that runs on some channels.
    pub groups: Option<usize>,
}

/// A convolution's weights by name, and its bias.
pub(super) struct ConvWeights {
    pub weight: String,
    pub bias: Option<Tensor>,
}

/// One convolution, with all of its weights or with those of the chosen channels.
pub(super) fn convolved(
    emitter: &mut GateEmitter,
    layer: &BranchLayer,
    weights: &ConvWeights,
    tiling: Option<&Tiling>,
    kept: CutChannels,
    x: &str,
) -> String {
    let mut weight = weights.weight.clone();
    let mut bias = weights.bias.as_ref().map(|tensor| emitter.builder.constant(tensor));
    // Outputs first: they are runs of memory.
    if let Some(outputs) = kept.outputs {
        weight = emitter.builder.op("Gather", &[&weight, outputs], &[("axis", &[0])]);
        bias = bias.map(|all| emitter.builder.op("Gather", &[&all, outputs], &[("axis", &[0])]));
    }
    if let Some(inputs) = kept.inputs {
        weight = emitter.builder.op("Gather", &[&weight, inputs], &[("axis", &[1])]);
    }
    let mut inputs = vec![x, &weight];
    inputs.extend(bias.as_deref());
    let cut = |axis: usize| tiling.is_some_and(|t| t.cut(axis));
    let pad = |axis: usize, end: usize| if cut(axis) { 0 } else { layer.pads(axis)[end] as i64 };
    let pads = [pad(0, 0), pad(1, 0), pad(0, 1), pad(1, 1)];
    let two = |v: &[usize]| [v[0] as i64, v[1] as i64];
    emitter.builder.op(
        "Conv",
        &inputs,
        &[
            ("kernel_shape", &two(&layer.spec.kernel)),
            ("strides", &two(&layer.spec.strides)),
            ("dilations", &two(&layer.spec.dilations)),
            ("pads", &pads),
            ("group", &[kept.groups.unwrap_or(layer.spec.groups) as i64]),
        ],
    )
}

/// The weights and the bias that a layer has in the file.
pub(super) fn conv_weights(emitter: &GateEmitter, layer: &BranchLayer) -> ConvWeights {
    let node = &emitter.graph.proto.node[layer.node];
    let bias = node
        .input
        .get(2)
        .filter(|n| !n.is_empty())
        .and_then(|n| emitter.graph.constant(n));
    ConvWeights {
        weight: node.input[1].clone(),
        bias,
    }
}

/// The weights as numbers.
///
/// # Errors
/// When they cannot be read as floats.
pub(super) fn weight(emitter: &GateEmitter, layer: &BranchLayer) -> Result<Vec<f32>> {
    let name = &emitter.graph.proto.node[layer.node].input[1];
    let values = layer.weights(emitter.graph);
    values.ok_or_else(|| Error::tensor(name, "its values cannot be read as floats"))
}
