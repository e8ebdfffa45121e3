//! Scales of activations chosen anew for a quantized model that became narrower.
//!
//! What a narrower network makes has other ranges than the original's values, above all where a channel went that reached furthest. The
//! ranges are those of the network with its weights as they are stored and its activations as floats, as ONNX Runtime's `quantize_static`
//! takes them.

mod apply;
mod histogram;
mod method;
mod observe;
mod quantizers;
mod steps;

use std::ops::Range;

use crate::Result;
use crate::data::Dataset;
use crate::device::Executor;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::reconstruct::store::drop_unread;

use observe::{Runs, ends, observed};
use quantizers::{Ends, shared_scales, with_several_scales};

pub use method::CalibrationMethod;

/// A model with scales of activations chosen anew.
#[derive(Clone, Debug)]
pub struct Rescaled {
    /// The model.
    pub proto: ModelProto,
    /// Scales that are others now.
    pub changed: usize,
    /// Scales of activations that could be chosen.
    pub of: usize,
    /// Activations that stay because they have a scale for each channel or block.
    pub per_channel: usize,
}

/// Samples are enough for ranges from here on.
const ENOUGH: usize = 512;

/// Chooses the scales and zero points of the activations of `narrowed` anew, by what its values are in `runs` of the samples. Where the
/// quantizers of the `original` cut values off, as they do for a `Relu` or a `Clip` that a quantizer folded into them, the range
/// reaches no further than before. Symmetric quantizers stay symmetric; biases in integers follow with the product of both scales.
///
/// # Errors
/// When a network cannot be run.
pub fn rescaled(
    device: &dyn Executor,
    (original, narrowed): (&ModelProto, &ModelProto),
    (data, runs): (&Dataset, Range<usize>),
    method: CalibrationMethod,
) -> Result<Rescaled> {
    let runs = runs.start..runs.end.min(runs.start + ENOUGH.div_ceil(data.batch().max(1)));
    let inputs = || -> Runs<'_> { Box::new(runs.clone().map(|k| data.run(k).inputs)) };
    let before = Graph::of(original)?;
    let cut = ends(device, original, &shared_scales(&before), &mut inputs())?;
    let graph = Graph::of(narrowed)?;
    let scales = shared_scales(&graph);
    let cut: Vec<Ends> = scales.iter().map(|s| s.ends(&cut)).collect();
    let ranges = observed(device, narrowed, (&scales, &cut), method, &inputs)?;
    let mut proto = narrowed.clone();
    let mut changed = 0;
    for ((shared, ends), range) in scales.iter().zip(&cut).zip(ranges) {
        let new = range.and_then(|range| steps::chosen(shared, *ends, range));
        let Some(new) = new.filter(|new| !new.are_near(shared)) else {
            continue;
        };
        changed += usize::from(apply::put(&mut proto, &graph, shared, new));
    }
    drop_unread(&mut proto, &graph);
    Ok(Rescaled {
        proto,
        changed,
        of: scales.len(),
        per_channel: with_several_scales(&graph),
    })
}
