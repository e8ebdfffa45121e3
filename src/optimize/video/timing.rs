//! Files side by side, each on inputs of its own.

use super::context::VideoSearch;
use crate::Result;
use crate::device::{CpuFallback, NamedTensor, one_round};
use crate::onnx::encode;
use crate::profile::median;
use crate::video::{Numbers, VideoModel};

/// Rounds in which every file runs once; the first few do not count.
const ROUNDS: usize = 41;
const WARM_UP: usize = 3;
/// Rounds that are run when the time is up.
const FEWEST: usize = 12;

/// A model and the inputs that it is timed on.
pub(super) struct Entry {
    pub model: Vec<u8>,
    pub inputs: Vec<NamedTensor>,
}

impl Entry {
    /// A model that reads a frame.
    pub(super) fn whole(search: &VideoSearch, model: Vec<u8>) -> Self {
        Self {
            model,
            inputs: search.data.run(search.data.runs().saturating_sub(1)).inputs,
        }
    }

    /// A file that reads the last frame and the states behind the first.
    pub(super) fn tiles(search: &VideoSearch, video: &VideoModel, numbers: &Numbers, model: Vec<u8>) -> Result<Self> {
        let dense = encode(&video.dense(numbers, 1.0)?);
        let made = search.device.outputs(&dense, &search.data.run(0).inputs)?;
        let mut entry = Self::whole(search, model);
        entry.inputs.extend(states(video, &made)?);
        Ok(entry)
    }
}

/// What a run hands to the next.
pub(super) fn states(video: &VideoModel, made: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
    let next = |(name, blank)| {
        let own = format!("{name}_next");
        let found = made.iter().find(|(n, _)| *n == own);
        (name, found.map_or(blank, |(_, t)| t.clone()))
    };
    Ok(video.blank_states()?.into_iter().map(next).collect())
}

/// Milliseconds of each, in turns.
pub(super) fn timed(search: &VideoSearch, entries: Vec<Entry>) -> Result<Vec<f64>> {
    let load = |e: &Entry| search.timer.load(&e.model, &e.inputs, CpuFallback::Allowed);
    let mut sessions = entries.iter().map(load).collect::<Result<Vec<_>>>()?;
    let mut times = vec![Vec::new(); sessions.len()];
    for round in 0..ROUNDS {
        if round >= FEWEST && search.limit.is_up() {
            break;
        }
        search.reporter.progress(round, ROUNDS);
        let own = one_round(&mut sessions, round)?;
        if round >= WARM_UP {
            times.iter_mut().zip(own).for_each(|(all, ms)| all.push(ms));
        }
    }
    search.reporter.progress(ROUNDS, ROUNDS);
    Ok(times.iter().map(|all| median(all)).collect())
}
