//! The ranges of the frame and of all kept maps over the frames.

use std::collections::{HashMap, HashSet};

use super::context::VideoSearch;
use crate::Result;
use crate::onnx::encode;
use crate::video::{Numbers, VideoModel};

/// Frames that ranges are taken from, spread evenly.
const FRAMES: usize = 16;

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
    let mut frames = (0..taken).map(|k| search.data.run(k * runs / taken.max(1)).inputs);
    search.device.each_output(&dense, &mut frames, &mut |made| {
        for (name, tensor) in made {
            let Some(mut values) = tensor.to_f32() else { continue };
            if let Some(channels) = tensor.dims.last().filter(|_| maps.contains(&name)) {
                // The row of zeros behind a map is none of it.
                values.truncate(values.len().saturating_sub(*channels));
            }
            let own = values
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |a, v| (a.0.min(*v), a.1.max(*v)));
            let all = ends.entry(name).or_insert(own);
            *all = (all.0.min(own.0), all.1.max(own.1));
        }
    })?;
    let range = |name: String| ends.get(&name).map_or(1.0, |(low, high)| high - low);
    Ok(Numbers {
        frame_range: range(video.reference()).max(f32::MIN_POSITIVE),
        ranges: kept
            .iter()
            .enumerate()
            .map(|(k, name)| (name.clone(), range(video.map_output(k))))
            .collect(),
        factor: 0.0,
    })
}
