//! Exact files against the model: once nothing is left, outputs are the same.

use super::context::VideoSearch;
use super::timing::states;
use crate::Result;
use crate::device::NamedTensor;
use crate::onnx::encode;
use crate::video::{CHANGED, VideoModel};

/// Frames that are compared.
const FRAMES: usize = 4;
/// Runs for one frame, at most: each computes tiles that the one before left.
const MOST_RUNS: usize = 200;

/// The largest difference of an output, over its range.
pub(super) fn apart(search: &VideoSearch, video: &VideoModel, files: &[Vec<u8>]) -> Result<f64> {
    let (Some(dense), Some(tiles)) = (files.first(), files.last()) else {
        return Ok(0.0);
    };
    let original = encode(search.model);
    let mut plain = search.device.runner(&original)?;
    let mut runner = search.device.runner(tiles)?;
    let made = search.device.outputs(dense, &search.data.run(0).inputs)?;
    let mut worst = difference(&plain.run_tensors(&search.data.run(0).inputs)?, &made);
    let mut kept = states(video, &made)?;
    let runs = search.data.runs();
    let taken = (runs.saturating_sub(1)).min(FRAMES);
    for k in 1..=taken {
        search.reporter.progress(k - 1, taken);
        let frame = search.data.run(k * runs.saturating_sub(1) / taken).inputs;
        let expected = plain.run_tensors(&frame)?;
        let mut own = f64::INFINITY;
        for _ in 0..MOST_RUNS {
            let mut inputs = frame.clone();
            inputs.append(&mut kept);
            let made = runner.run_tensors(&inputs)?;
            kept = states(video, &made)?;
            let left = made.iter().find(|(n, _)| n == CHANGED).and_then(|(_, t)| t.to_i64());
            if left.is_some_and(|all| all.iter().all(|&n| n == 0)) {
                own = difference(&expected, &made);
                break;
            }
        }
        worst = worst.max(own);
    }
    Ok(worst)
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
