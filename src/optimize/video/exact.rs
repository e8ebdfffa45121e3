//! Exact files against the model: once nothing is left, outputs are the same.

use super::context::VideoSearch;
use crate::device::{DeviceTensor, NamedTensor, Runner};
use crate::onnx::{encode, parse};
use crate::playback::{Outputs, Stream};
use crate::video::Manifest;
use crate::{Error, Result};

/// Frames that are compared.
const FRAMES: usize = 4;
/// Runs for one frame, at most: each computes tiles that the one before left.
const MOST_RUNS: usize = 200;

/// The largest difference of an output, over its range.
pub(super) fn apart(search: &VideoSearch, files: &[Vec<u8>]) -> Result<f64> {
    let (Some(dense), Some(tiles)) = (files.first(), files.last()) else {
        return Ok(0.0);
    };
    let original = encode(search.model);
    let mut plain = search.device.runner(&original)?;
    let (mut whole, mut runner) = (search.device.runner(dense)?, search.device.runner(tiles)?);
    let manifest = Manifest::of(&parse(tiles.clone())?.proto)?;
    let manifest = manifest.ok_or_else(|| Error::Model("a video file says nothing of itself".to_owned()))?;
    let mut stream = Stream::new(manifest)?;
    let runs = search.data.runs();
    let taken = (runs.saturating_sub(1)).min(FRAMES);
    let mut worst = 0.0f64;
    for k in 0..=taken {
        search.reporter.progress(k, taken);
        let frame = search.data.run(k * runs.saturating_sub(1) / taken.max(1)).inputs;
        let expected = plain.run_tensors(&frame)?;
        let held = frame.iter().map(|(n, t)| Ok((n.as_str(), DeviceTensor::new(n, t)?)));
        let held = held.collect::<Result<Vec<_>>>()?;
        let inputs: Vec<(&str, &DeviceTensor)> = held.iter().map(|(n, t)| (*n, t)).collect();
        stream.compare(&inputs)?;
        let made = match k {
            0 => Some(stream.whole(&mut whole, &inputs)?),
            _ => computed(&mut stream, &mut runner, &inputs)?,
        };
        let own = made.map_or(f64::INFINITY, |made| difference(&expected, &tensors(&made)));
        worst = worst.max(own);
    }
    Ok(worst)
}

/// What a file makes of a frame once nothing is left; `None` where something stays left.
fn computed(stream: &mut Stream, runner: &mut Runner, inputs: &[(&str, &DeviceTensor)]) -> Result<Option<Outputs>> {
    for _ in 0..MOST_RUNS {
        let (made, left) = stream.tiles(runner, inputs)?;
        if left.iter().all(|&n| n == 0) {
            return Ok(Some(made));
        }
    }
    Ok(None)
}

fn tensors(made: &Outputs) -> Vec<NamedTensor> {
    let one = |(name, value): &(String, DeviceTensor)| Some((name.clone(), value.tensor()?));
    made.iter().filter_map(one).collect()
}

/// The largest difference of any output that both have, over its range; infinite where one is no number and the other is.
fn difference(expected: &[NamedTensor], made: &[NamedTensor]) -> f64 {
    let one = |(name, right): &NamedTensor| {
        let own = made.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        let Some((a, b)) = right.to_f32().zip(own.and_then(|t| t.to_f32())) else {
            return if own.is_some_and(|t| t.bytes == right.bytes) {
                0.0
            } else {
                f64::INFINITY
            };
        };
        let low = a.iter().copied().fold(f32::INFINITY, f32::min);
        let high = a.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let range = f64::from(if high > low { high - low } else { high.abs() }).max(1e-12);
        let apart = a.iter().zip(&b).map(|(x, y)| {
            if x.to_bits() == y.to_bits() {
                0.0
            } else {
                f64::from(x - y).abs()
            }
        });
        apart.fold(
            0.0,
            |worst: f64, d| if d.is_nan() { f64::INFINITY } else { worst.max(d) },
        ) / range
    };
    expected.iter().map(one).fold(0.0, f64::max)
}
