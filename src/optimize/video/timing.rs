//! Files side by side, each played as its runner plays it.

use std::time::Instant;

use super::context::VideoSearch;
use crate::Result;
use crate::device::{DeviceTensor, NamedTensor, Runner};
use crate::onnx::encode;
use crate::onnx::proto::ModelProto;
use crate::playback::Stream;
use crate::profile::median;
use crate::video::{Manifest, Numbers, VideoModel};

/// Rounds in which every file runs once; the first few do not count.
const ROUNDS: usize = 41;
const WARM_UP: usize = 3;
/// Rounds that are run when the time is up.
const FEWEST: usize = 12;

/// A loaded model with what it is timed on.
pub(super) struct Entry {
    runner: Runner,
    /// The last frame, and the first, which take turns.
    frames: [Frame; 2],
    stream: Option<Stream>,
}

type Frame = Vec<(String, DeviceTensor)>;

fn held(inputs: Vec<NamedTensor>) -> Result<Frame> {
    let one = |(name, tensor): NamedTensor| Ok((name.clone(), DeviceTensor::new(&name, &tensor)?));
    inputs.into_iter().map(one).collect()
}

fn given(frame: &Frame) -> Vec<(&str, &DeviceTensor)> {
    frame.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

impl Entry {
    /// A model that reads a frame.
    pub(super) fn whole(search: &VideoSearch, model: &[u8]) -> Result<Self> {
        let last = search.data.runs().saturating_sub(1);
        let frame = |k: usize| held(search.data.run(k).inputs);
        Ok(Self {
            runner: search.device.deployed(model)?,
            frames: [frame(last)?, frame(0)?],
            stream: None,
        })
    }

    /// A file that computes tiles, behind the first frame: then each of both frames changes what the other was.
    pub(super) fn tiles(
        search: &VideoSearch,
        video: &VideoModel,
        numbers: &Numbers,
        model: &ModelProto,
    ) -> Result<Self> {
        let mut entry = Self::whole(search, &encode(model))?;
        if let Some(manifest) = Manifest::of(model)? {
            let mut stream = Stream::new(manifest)?;
            let mut dense = search.device.deployed(&encode(&video.dense(numbers, 1.0)?))?;
            stream.whole(&mut dense, &given(&entry.frames[1]))?;
            entry.stream = Some(stream);
        }
        Ok(entry)
    }

    /// Milliseconds of a run, with the comparison of the frame.
    fn run(&mut self) -> Result<f64> {
        let start = Instant::now();
        let frame = given(&self.frames[0]);
        match &mut self.stream {
            Some(stream) => {
                stream.compare(&frame)?;
                stream.tiles(&mut self.runner, &frame)?;
            }
            None => {
                self.runner.run(&frame)?;
            }
        }
        let ms = start.elapsed().as_secs_f64() * 1e3;
        self.frames.swap(0, 1);
        Ok(ms)
    }
}

/// Milliseconds of each, in turns.
pub(super) fn timed(search: &VideoSearch, mut entries: Vec<Entry>) -> Result<Vec<f64>> {
    let mut times = vec![Vec::new(); entries.len()];
    for round in 0..ROUNDS {
        if round >= FEWEST && search.limit.is_up() {
            break;
        }
        search.reporter.progress(round, ROUNDS);
        // Another one begins each time: none is always the first after another's data left the caches.
        let first = round % entries.len().max(1);
        let (before, behind) = times.split_at_mut(first);
        let (others, own) = entries.split_at_mut(first);
        let turns = own.iter_mut().zip(behind).chain(others.iter_mut().zip(before));
        for (entry, all) in turns {
            let ms = entry.run()?;
            if round >= WARM_UP {
                all.push(ms);
            }
        }
    }
    search.reporter.progress(ROUNDS, ROUNDS);
    Ok(times.iter().map(|all| median(all)).collect())
}
