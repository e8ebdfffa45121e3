//! Convolutions of chosen inputs on small maps, as transposed ones: their weights lie input by input, so that a choice of inputs
//! is runs of memory. Where a map is small, gathering weights is most of the time.

use super::convolve::{ConvWeights, CutChannels, weight};
use super::emitter::GateEmitter;
use super::layer::BranchLayer;
use super::window::Tiling;
use crate::Result;

/// Places of a map up to which this is quicker.
const SMALL: usize = 64;

/// A convolution as a transposed one.
pub(super) struct Turned<'l> {
    layer: &'l BranchLayer,
    /// The value with the inputs' indices.
    inputs: &'l str,
    /// Rows and columns that are cut off: before the rows, before the columns, behind either.
    pads: [i64; 4],
}

/// How a step's convolution is turned: of stride 1, in one group, with chosen inputs only, on a small map. `None` where it is not.
pub(super) fn turned<'l>(
    emitter: &GateEmitter,
    layer: &'l BranchLayer,
    step: usize,
    tiling: Option<&Tiling>,
    cut: CutChannels<'l>,
) -> Option<Turned<'l>> {
    let inputs = cut.inputs.filter(|_| cut.outputs.is_none())?;
    let [rows, columns] = match tiling {
        Some(t) => t.windows[step].map(|w| w.size),
        None => emitter.gate.block.shape()[step],
    };
    let spec = &layer.spec;
    if rows * columns > SMALL || spec.groups != 1 || spec.strides.iter().any(|&s| s != 1) {
        return None;
    }
    // Zeros around the input become what of the kernel's reach is kept.
    let pad = |axis: usize, end: usize| {
        let reach = spec.dilations[axis] * (spec.kernel[axis] - 1);
        let own = if tiling.is_some_and(|t| t.cut(axis)) {
            0
        } else {
            layer.pads(axis)[end]
        };
        reach.checked_sub(own).map(|p| p as i64)
    };
    let pads = [pad(0, 0)?, pad(1, 0)?, pad(0, 1)?, pad(1, 1)?];
    // Other sides than these are not for every provider.
    if pads[..2] != pads[2..] {
        return None;
    }
    Some(Turned { layer, inputs, pads })
}

/// The nodes of a turned convolution.
///
/// # Errors
/// When the weights cannot be read.
pub(super) fn turned_convolved(
    emitter: &mut GateEmitter,
    turned: &Turned,
    weights: &ConvWeights,
    x: &str,
) -> Result<String> {
    let Turned { layer, inputs, pads } = turned;
    let (own, taps) = (weight(emitter, layer)?, layer.taps());
    // Inputs first, and every kernel from its end to its beginning.
    let mut turned = Vec::with_capacity(own.len());
    for input in 0..layer.inputs {
        for kernels in own.chunks_exact(layer.inputs * taps) {
            turned.extend(kernels[input * taps..(input + 1) * taps].iter().rev());
        }
    }
    let [rows, columns] = [layer.spec.kernel[0], layer.spec.kernel[1]];
    let all = emitter.floats(&[layer.inputs, layer.outputs, rows, columns], &turned);
    let kept = emitter.builder.op("Gather", &[&all, inputs], &[("axis", &[0])]);
    let bias = weights.bias.as_ref().map(|tensor| emitter.builder.constant(tensor));
    let mut given = vec![x, &kept];
    given.extend(bias.as_deref());
    let two = |v: &[usize]| [v[0] as i64, v[1] as i64];
    Ok(emitter.builder.op(
        "ConvTranspose",
        &given,
        &[
            ("kernel_shape", &two(&layer.spec.kernel)),
            ("dilations", &two(&layer.spec.dilations)),
            ("pads", pads),
        ],
    ))
}
