//! The branch of a block as nodes, on the whole map or on the chosen tiles, with all hidden channels or the chosen ones.

use super::attend::{channel_choice, channel_mask};
use super::block::BranchStep;
use super::emitter::GateEmitter;
use super::layer::BranchLayer;
use super::spec::{ChannelGate, GateForm};
use super::window::Tiling;
use crate::onnx::Tensor;
use crate::{Error, Result};

/// The tiles that the branch runs on.
pub(super) struct ChosenTiles<'t> {
    /// How the block is cut.
    pub tiling: &'t Tiling,
    /// The value with the indices of the chosen tiles: samples × tiles kept.
    pub chosen: &'t str,
}

/// Weights of the chosen channels only.
struct KeptWeights<'i> {
    side: Side,
    /// The value with the channels' indices.
    indices: &'i str,
}

/// The axis of a convolution's weights that a choice of channels cuts.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Outputs = 0,
    Inputs = 1,
}

/// A convolution's weights by name, and its bias.
struct ConvWeights {
    weight: String,
    bias: Option<Tensor>,
}

/// Whether a layer has zeros around its input along an axis that is cut into tiles.
fn pads_cut_axis(layer: &BranchLayer, tiling: &Tiling) -> bool {
    (0..2).any(|a| tiling.cut(a) && layer.pads(a).iter().any(|&p| p > 0))
}

/// The branch on whole maps or on tiles.
pub(super) fn branch(
    emitter: &mut GateEmitter,
    from: String,
    tiles: Option<&ChosenTiles>,
    form: GateForm,
) -> Result<String> {
    let gate = emitter.gate;
    let block = &gate.block;
    let channels = gate.channels.as_ref();
    let consumer = channels.map(|c| c.consumer(block));
    let (mut chosen, mut x) = (None, from);
    for (s, step) in block.steps.iter().enumerate() {
        let layer = match step {
            BranchStep::Pointwise(nodes) => {
                let between = channels.is_some_and(|c| c.producer < s && consumer.is_some_and(|r| s < r));
                let kept = chosen.clone().filter(|_| between && form == GateForm::Compact);
                x = emitter.cloned(nodes, &x, kept.as_deref());
                continue;
            }
            BranchStep::Conv(layer) => layer,
        };
        if let Some(c) = channels.filter(|c| c.producer == s) {
            // Scores come from the whole map, so tiles do not change which channels are taken.
            let statistics = if s == 0 { &block.input } else { &x };
            chosen = Some(channel_choice(emitter, c, statistics, form));
        }
        let kept = chosen.clone().filter(|_| form == GateForm::Compact);
        if let (Some(c), Some(indices), true) = (channels, &chosen, consumer == Some(s)) {
            x = without_fill(emitter, c, &x, indices, form);
        }
        let overhang = tiles.filter(|t| s > 0 && t.tiling.overhangs(s) && pads_cut_axis(layer, t.tiling));
        let inside = overhang.map(|tiles| inside(emitter, tiles, s));
        if let Some(inside) = &inside {
            x = emitter.builder.op("Mul", &[&x, inside], &[]);
        }
        let mut weights = conv_weights(emitter, layer);
        if s + 1 == block.steps.len()
            && let Some(t) = &gate.tiles
        {
            weights.bias = Some(less(emitter, weights.bias.as_ref(), &t.fill)?);
        }
        let kept_weights = match (channels, &kept) {
            (Some(c), Some(indices)) if c.producer == s => Some(KeptWeights {
                side: Side::Outputs,
                indices,
            }),
            (Some(_), Some(indices)) if consumer == Some(s) => Some(KeptWeights {
                side: Side::Inputs,
                indices,
            }),
            _ => None,
        };
        x = convolved(emitter, layer, &weights, tiles.map(|t| t.tiling), kept_weights, &x);
        if let (Some(c), true) = (channels, consumer == Some(s)) {
            x = with_constant_part(emitter, c, layer, s, &x, tiles, inside.as_deref())?;
        }
    }
    if let (Some(t), Some(BranchStep::Pointwise(_))) = (&gate.tiles, block.steps.last()) {
        let fill: Vec<f32> = t.fill.iter().map(|v| -v).collect();
        x = emitter.plus(&x, &fill);
    }
    Ok(x)
}

/// Subtracts each hidden channel's fill value, so that a skipped channel is zero.
fn without_fill(emitter: &mut GateEmitter, c: &ChannelGate, x: &str, indices: &str, form: GateForm) -> String {
    let dims = [1, c.fill.len(), 1, 1];
    let all = emitter.floats(&dims, &c.fill);
    if form == GateForm::Compact {
        let own = emitter.builder.op("Gather", &[&all, indices], &[("axis", &[1])]);
        return emitter.builder.op("Sub", &[x, &own], &[]);
    }
    let deviation = emitter.builder.op("Sub", &[x, &all], &[]);
    let mask = channel_mask(emitter, c, indices);
    emitter.builder.op("Mul", &[&deviation, &mask], &[])
}

/// Adds what the fill values of all hidden channels contribute: the consumer on a map of ones, with its weights summed over
/// the fill. At the edges of the map it reads the padding's zeros, as the consumer does.
fn with_constant_part(
    emitter: &mut GateEmitter,
    c: &ChannelGate,
    layer: &BranchLayer,
    step: usize,
    x: &str,
    tiles: Option<&ChosenTiles>,
    inside: Option<&str>,
) -> Result<String> {
    if c.fill.iter().all(|&v| v == 0.0) {
        return Ok(x.to_owned());
    }
    let weight = weight(emitter, layer)?;
    let taps = layer.taps();
    let mut summed = vec![0.0f32; layer.outputs * taps];
    for (o, row) in weight.chunks_exact(layer.inputs * taps).enumerate() {
        for (channel, fill) in row.chunks_exact(taps).zip(&c.fill) {
            for (sum, w) in summed[o * taps..].iter_mut().zip(channel) {
                *sum += w * fill;
            }
        }
    }
    let kernel = emitter.floats(&[layer.outputs, 1, layer.spec.kernel[0], layer.spec.kernel[1]], &summed);
    let ones = match inside {
        Some(inside) => inside.to_owned(),
        None => {
            let [h, w] = match tiles {
                Some(t) => t.tiling.windows[step].map(|w| w.size),
                None => emitter.gate.block.shape()[step],
            };
            emitter.floats(&[1, 1, h, w], &vec![1.0; h * w])
        }
    };
    let weights = ConvWeights {
        weight: kernel,
        bias: None,
    };
    let mut single = layer.clone();
    single.inputs = 1;
    let constant = convolved(emitter, &single, &weights, tiles.map(|t| t.tiling), None, &ones);
    Ok(emitter.builder.op("Add", &[x, &constant], &[]))
}

/// One convolution, with all of its weights or with those of the chosen channels.
fn convolved(
    emitter: &mut GateEmitter,
    layer: &BranchLayer,
    weights: &ConvWeights,
    tiling: Option<&Tiling>,
    kept: Option<KeptWeights>,
    x: &str,
) -> String {
    let mut weight = weights.weight.clone();
    let mut bias = weights.bias.as_ref().map(|tensor| emitter.builder.constant(tensor));
    if let Some(KeptWeights { side, indices }) = kept {
        let axis = side as i64;
        weight = emitter.builder.op("Gather", &[&weight, indices], &[("axis", &[axis])]);
        if side == Side::Outputs
            && let Some(all) = &bias
        {
            bias = Some(emitter.builder.op("Gather", &[all, indices], &[("axis", &[0])]));
        }
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
            ("group", &[layer.spec.groups as i64]),
        ],
    )
}

/// A bias without the fill.
fn less(emitter: &GateEmitter, bias: Option<&Tensor>, fill: &[f32]) -> Result<Tensor> {
    let unread = || Error::Model("a bias cannot be read as floats".to_owned());
    let mut values = match bias {
        Some(bias) => bias.to_f32().ok_or_else(unread)?,
        None => vec![0.0; fill.len()],
    };
    values.iter_mut().zip(fill).for_each(|(b, f)| *b -= f);
    Ok(Tensor::from_f32(vec![values.len()], &values).cast(emitter.dtype))
}

/// For the chosen tiles, 1 where a place of a step's input lies in the map and 0 elsewhere: (samples · tiles) × 1 × rows × columns.
fn inside(emitter: &mut GateEmitter, tiles: &ChosenTiles, step: usize) -> String {
    let ChosenTiles { tiling, chosen } = *tiles;
    let [rows, columns] = tiling.windows[step].map(|w| w.size);
    let table = emitter.floats(&[tiling.tiles(), rows, columns], &tiling.inside(step));
    let own = emitter.builder.op("Gather", &[&table, chosen], &[("axis", &[0])]);
    emitter.builder.reshape(&own, &[-1, 1, rows as i64, columns as i64])
}

fn conv_weights(emitter: &GateEmitter, layer: &BranchLayer) -> ConvWeights {
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

fn weight(emitter: &GateEmitter, layer: &BranchLayer) -> Result<Vec<f32>> {
    let name = &emitter.graph.proto.node[layer.node].input[1];
    let values = layer.weights(emitter.graph);
    values.ok_or_else(|| Error::tensor(name, "its values cannot be read as floats"))
}
