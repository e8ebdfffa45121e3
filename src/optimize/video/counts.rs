//! How many tiles of each stage the frames touch: what the files of a ladder compute follows from it.

use super::context::VideoSearch;
use crate::Result;
use crate::onnx::{Tensor, encode};
use crate::video::{Numbers, TouchedTiles, VideoModel, VideoPlan};

/// Frames that are looked at, at most: the first ones, in their order.
const FRAMES: usize = 24;
/// Of the frames, this share finds room in what a file computes for its share of changed tiles.
const HELD: f64 = 0.75;
/// Tiles of the frame that a file computes over its share: what the first stage leaves is behind in all others, which may leave some.
const FIRST: f64 = 1.3;
/// Objects that the changed part of a frame is taken for.
const OBJECTS: f64 = 2.0;

/// Tiles of each stage that a frame touches, for one share of the range that counts as change.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// By frame, from the second on.
    frames: Vec<Vec<usize>>,
}

/// Counts of the first frames, in their order.
pub(super) fn counts(
    search: &VideoSearch,
    video: &VideoModel,
    numbers: &Numbers,
    factor: f64,
    frames: usize,
) -> Result<Counts> {
    let numbers = Numbers {
        factor: factor as f32,
        ..numbers.clone()
    };
    let kept = video.plan.kept();
    let mut touched = TouchedTiles::new(video.plan, numbers.thresholds(kept));
    let dense = encode(&video.dense(&numbers, 1.0)?);
    let names: Vec<String> = (0..kept.len()).map(|k| video.map_output(k)).collect();
    let mut runner = search.device.runner(&dense)?;
    let mut all = Counts { frames: Vec::new() };
    let taken = search.data.runs().min(frames).min(FRAMES);
    for k in 0..taken {
        let mut inputs = search.data.run(k).inputs;
        for (_, tensor) in &mut inputs {
            if let Some(values) = tensor.to_f32() {
                *tensor = Tensor::from_f32(tensor.dims.clone(), touched.seen(&values));
            }
        }
        let made = runner.run_tensors(&inputs)?;
        let value = |name: &String| made.iter().find(|(n, _)| n == name).and_then(|(_, t)| t.to_f32());
        let maps = names.iter().map(|n| value(n).unwrap_or_default()).collect();
        all.frames.extend(touched.touched(maps));
        search.reporter.progress(k + 1, taken);
    }
    Ok(all)
}

impl Counts {
    /// The share of the tiles of the stage that reads the frame which a frame in the middle touches.
    pub(super) fn typical(&self, plan: &VideoPlan) -> Option<f64> {
        let first = plan.first_index()?;
        let (tiles, ..) = *plan.tiles().get(first)?;
        let mut shares: Vec<f64> = self.shares(first, tiles);
        shares.sort_by(f64::total_cmp);
        shares.get(shares.len() / 2).copied().filter(|share| *share > 0.0)
    }

    fn shares(&self, first: usize, tiles: usize) -> Vec<f64> {
        let of = |frame: &Vec<usize>| frame.get(first).copied().unwrap_or(0) as f64 / tiles.max(1) as f64;
        self.frames.iter().map(of).collect()
    }

    /// Tiles of each stage for frames that touch this share of the tiles of the stage that reads the frame; `None` where no frame changed.
    pub(super) fn computed(&self, plan: &VideoPlan, share: f64) -> Option<Vec<usize>> {
        let first = plan.first_index()?;
        let all = plan.tiles();
        let shares = self.shares(first, all.get(first)?.0);
        let moved: Vec<(&Vec<usize>, f64)> = self.frames.iter().zip(shares).filter(|(_, s)| *s > 0.0).collect();
        if moved.is_empty() {
            return None;
        }
        let one = |(stage, (tiles, spare, fewest)): (usize, &(usize, usize, usize))| {
            let mut each: Vec<f64> = moved
                .iter()
                .map(|(frame, seen)| grown(frame.get(stage).copied().unwrap_or(0), *tiles, *seen, share))
                .collect();
            each.sort_by(f64::total_cmp);
            let at = ((each.len() as f64 * HELD) as usize).min(each.len() - 1);
            let held = each.get(at).copied().unwrap_or(0.0);
            if stage == first {
                return ((FIRST * share * *tiles as f64).ceil() as usize + spare).min(*tiles);
            }
            plan.rows(stage, held.ceil() as usize + spare).max(*fewest).min(*tiles)
        };
        Some(all.iter().enumerate().map(one).collect())
    }
}

/// Tiles of a stage of `tiles` that a frame touches which touches the share `wanted` of the frame's tiles, from one that touches `touched` at the share
/// `seen`: objects are squares, and what layers read around them does not grow with them.
fn grown(touched: usize, tiles: usize, seen: f64, wanted: f64) -> f64 {
    let side = |share: f64| (share * tiles as f64 / OBJECTS).sqrt();
    let around = (touched as f64 / OBJECTS).sqrt() - side(seen);
    if around <= 0.0 {
        return touched as f64 * wanted / seen;
    }
    OBJECTS * (side(wanted) + around).powi(2)
}

#[cfg(test)]
mod tests {
    use super::grown;

    #[test]
    fn what_layers_read_around_objects_does_not_grow_with_them() {
        // Two objects of 10 × 10 in 2000 tiles, and two places around each.
        let touched = 2 * 14 * 14;
        assert!((grown(touched, 2000, 0.1, 0.1) - 392.0).abs() < 1e-9);
        assert!((grown(touched, 2000, 0.1, 0.4) - 2.0 * 24.0 * 24.0).abs() < 1e-9);
        assert!((grown(touched, 2000, 0.1, 0.025) - 2.0 * 9.0 * 9.0).abs() < 1e-9);
        // What vanishes on the way does so at all shares.
        assert!((grown(50, 2000, 0.1, 0.2) - 100.0).abs() < 1e-9);
    }
}
