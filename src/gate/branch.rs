//! The branch of a block as nodes, on the whole map or on the chosen tiles, with all hidden channels or the chosen ones.

use super::attend::{Before, channel_choice, channel_mask};
use super::block::BranchStep;
use super::convolve::{ConvWeights, CutChannels, conv_weights, convolved, weight};
use super::emitter::GateEmitter;
use super::excited::excited;
use super::layer::BranchLayer;
use super::spec::{ChannelGate, GateForm};
use super::turned::{turned, turned_convolved};
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

/// Where the contribution of fill values is added.
#[derive(Clone, Copy)]
struct FillPlace<'p, 't> {
    /// The step of the convolution that reads the channels.
    step: usize,
    /// The tiles that it runs on.
    tiles: Option<&'p ChosenTiles<'t>>,
    /// 1 where a tile's place lies in the map.
    inside: Option<&'p str>,
    /// The output channels that are made.
    outputs: Option<&'p str>,
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
    // The indices of the channels that the value at hand has; that it has all but is masked, in the reference form.
    let mut chosen: Option<String> = None;
    let mut x = from;
    for (s, step) in block.steps.iter().enumerate() {
        let kept = chosen.clone().filter(|_| form == GateForm::Compact);
        let layer = match step {
            BranchStep::Pointwise(nodes) => {
                let within = gate.around(s).and(kept);
                x = match form {
                    GateForm::Masked => emitter.same(nodes, &x),
                    _ => emitter.cloned(nodes, &x, within.as_deref()),
                };
                continue;
            }
            BranchStep::Excite(module) => {
                let within = gate.around(s).zip(chosen.as_deref());
                x = excited(module, emitter, &x, within, form);
                continue;
            }
            BranchStep::Conv(layer) => layer,
        };
        let (read, made) = (gate.read_at(s), gate.made_at(s));
        if form == GateForm::Masked {
            if let (Some(c), Some(indices)) = (read, &chosen) {
                x = filled(emitter, c, &x, indices);
            }
            let next = made.map(|c| channel_choice(emitter, c, &x, form, None));
            // The layer as it is: its weights and what it makes keep their names, so that it can be fitted and trained in this form.
            x = emitter.same(&[layer.node], &x);
            chosen = next.or(chosen.filter(|_| read.is_none()));
            continue;
        }
        if let (Some(c), Some(indices)) = (read, &chosen) {
            x = without_fill(emitter, c, &x, indices);
        }
        let before = read.map(|c| Before {
            fill: &c.fill,
            kept: kept.as_deref(),
        });
        let next = made.map(|c| {
            // Scores come from the whole map, so tiles do not change which channels are taken.
            let statistics = if s == 0 { &block.input } else { &x };
            channel_choice(emitter, c, statistics, form, before)
        });
        let overhang = tiles.filter(|t| s > 0 && t.tiling.overhangs(s) && pads_cut_axis(layer, t.tiling));
        let inside = overhang.map(|tiles| inside(emitter, tiles, s));
        if let Some(inside) = &inside {
            x = emitter.builder.op("Mul", &[&x, inside], &[]);
        }
        let mut weights = conv_weights(emitter, layer);
        if s + 1 == block.steps.len()
            && let Some(t) = gate.tiles.as_ref().filter(|_| block.other.is_some())
        {
            weights.bias = Some(less(emitter, weights.bias.as_ref(), &t.fill)?);
        }
        let between = gate.around(s).and(kept.as_deref());
        let cut = CutChannels {
            outputs: next.as_deref().or(between),
            inputs: read.and(kept.as_deref()),
            groups: gate.around(s).filter(|_| between.is_some()).map(|c| c.keep),
        };
        let tiling = tiles.map(|t| t.tiling);
        // Weights that never change are cut once, and lie best as they are.
        let varies = read.is_none_or(|c| c.fixed().is_none());
        let turn = turned(emitter, layer, s, tiling, cut).filter(|_| varies);
        x = match turn {
            Some(turned) => turned_convolved(emitter, &turned, &weights, &x)?,
            None => convolved(emitter, layer, &weights, tiling, cut, &x),
        };
        if let Some(c) = read {
            let place = FillPlace {
                step: s,
                tiles,
                inside: inside.as_deref(),
                outputs: cut.outputs,
            };
            x = with_constant_part(emitter, c, layer, &x, place)?;
        }
        chosen = next.or(chosen.filter(|_| read.is_none()));
    }
    let added = gate
        .tiles
        .as_ref()
        .filter(|_| block.other.is_some() && form == GateForm::Compact);
    if let (Some(t), Some(BranchStep::Pointwise(_))) = (added, block.steps.last()) {
        let fill: Vec<f32> = t.fill.iter().map(|v| -v).collect();
        x = emitter.plus(&x, &fill);
    }
    Ok(x)
}

/// Subtracts the fill value of each hidden channel that is there, so that a skipped one would be zero.
fn without_fill(emitter: &mut GateEmitter, c: &ChannelGate, x: &str, indices: &str) -> String {
    if c.fill.iter().all(|&v| v == 0.0) {
        return x.to_owned();
    }
    let all = emitter.floats(&[1, c.fill.len(), 1, 1], &c.fill);
    let own = emitter.builder.op("Gather", &[&all, indices], &[("axis", &[1])]);
    emitter.builder.op("Sub", &[x, &own], &[])
}

/// All hidden channels, with the fill value in the place of those that are skipped.
fn filled(emitter: &mut GateEmitter, c: &ChannelGate, x: &str, indices: &str) -> String {
    let less: Vec<f32> = c.fill.iter().map(|v| -v).collect();
    let deviation = emitter.plus(x, &less);
    let mask = channel_mask(emitter, c, indices);
    let kept = emitter.builder.op("Mul", &[&deviation, &mask], &[]);
    emitter.plus(&kept, &c.fill)
}

/// Adds what the fill values of all hidden channels contribute: the consumer on a map of ones, with its weights summed over
/// the fill. At the edges of the map it reads the padding's zeros, as the consumer does.
fn with_constant_part(
    emitter: &mut GateEmitter,
    c: &ChannelGate,
    layer: &BranchLayer,
    x: &str,
    place: FillPlace,
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
    let tiling = place.tiles.map(|t| t.tiling);
    let ones = match place.inside {
        Some(inside) => inside.to_owned(),
        None => {
            let [h, w] = match tiling {
                Some(t) => t.windows[place.step].map(|w| w.size),
                None => emitter.gate.block.shape()[place.step],
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
    let mut constant = convolved(emitter, &single, &weights, tiling, CutChannels::default(), &ones);
    if let Some(outputs) = place.outputs {
        constant = emitter.builder.op("Gather", &[&constant, outputs], &[("axis", &[1])]);
    }
    Ok(emitter.builder.op("Add", &[x, &constant], &[]))
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
