//! The ranges of the frame and of all kept maps over the frames.

use std::collections::{HashMap, HashSet};

use super::context::VideoSearch;
use crate::Result;
use crate::onnx::encode;
use crate::video::{Numbers, VideoModel};

/// Frames that ranges are taken from, spread evenly.
const FRAMES: usize = 16;

/// The ends of no numbers.
const NONE: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

/// The smallest and the largest number.
fn ends_of(values: &[f32]) -> (f32, f32) {
    values.iter().fold(NONE, |ends, v| (ends.0.min(*v), ends.1.max(*v)))
}

fn wider(a: (f32, f32), b: (f32, f32)) -> (f32, f32) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// What change is held against.
pub(super) fn ranges(search: &VideoSearch, video: &VideoModel) -> Result<Numbers> {
    let kept = video.plan.kept();
    let unit = Numbers {
        frame_range: 1.0,
        ranges: kept.iter().map(|k| (k.clone(), 1.0)).collect(),
        factor: 0.0,
    };
    let dense = encode(&video.dense(&unit, 1.0)?);
    let maps: HashSet<String> = (0..kept.len()).map(|k| video.map_output(k)).collect();
    let mut ends: HashMap<String, (f32, f32)> = HashMap::new();
    let runs = search.data.runs();
    let taken = runs.min(FRAMES);
    let frames: Vec<_> = (0..taken)
        .map(|k| search.data.run(k * runs / taken.max(1)).inputs)
        .collect();
    let shown = frames.iter().flatten().filter_map(|(_, tensor)| tensor.to_f32());
    let frame_ends = shown.fold(NONE, |all, values| wider(all, ends_of(&values)));
    let mut frames = frames.into_iter();
    search.device.each_output(&dense, &mut frames, &mut |made| {
        for (name, tensor) in made {
            if !maps.contains(&name) {
                continue;
            }
            let Some((mut values, channels)) = tensor.to_f32().zip(tensor.dims.last()) else {
                continue;
            };
            // The row of zeros behind a map is none of it.
            values.truncate(values.len().saturating_sub(*channels));
            let all = ends.entry(name).or_insert(NONE);
            *all = wider(*all, ends_of(&values));
        }
    })?;
    let range = |name: String| ends.get(&name).map_or(1.0, |(low, high)| high - low);
    Ok(Numbers {
        frame_range: (frame_ends.1 - frame_ends.0).max(f32::MIN_POSITIVE),
        ranges: kept
            .iter()
            .enumerate()
            .map(|(k, name)| (name.clone(), range(video.map_output(k))))
            .collect(),
        factor: 0.0,
    })
}
