//! The gates that each block could have, calibrated.

use std::ops::Range;

use super::super::options::{Dynamics, Mode};
use super::super::samples::Samples;
use super::search::GateSearch;
use crate::Result;
use crate::data::Dataset;
use crate::gate::{
    Block, Gate, advance, best, channel_attentions, channel_gate, fusible, pairs, seen_channels, seen_tiles,
    tile_attentions, tile_gate, tilings,
};
use crate::onnx::Graph;
use crate::score::StagedExecutor;

/// A gate that a block could have.
#[derive(Clone, Debug)]
pub(super) struct GateCandidate {
    pub gate: Gate,
    /// The share of what the block adds that the gate keeps, on samples that its attention was not fitted on.
    pub retained_energy: f64,
    /// Whether fitted attention ranks better than equal weights.
    pub fitted: bool,
    /// Only timed, to see where gates of its kind break even.
    pub timing_only: bool,
    /// Milliseconds of the dense block with its neighbours, and of the gated one; and whether that is faster.
    pub timed: Option<Timed>,
    /// What the model's outputs lose with this gate alone.
    pub loss: Option<f64>,
}

/// A block's dense and gated time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub dense_ms: f64,
    pub gated_ms: f64,
    pub faster: bool,
}

/// Ways of cutting a block that are timed.
const TILINGS: usize = 6;
/// Shares that are tried where the user wants none in particular.
const SHARES: [f64; 5] = [0.25, 0.375, 0.5, 0.625, 0.75];
/// How far a gate's share may be from the one that is wanted.
const NEAR: f64 = 0.08;
/// Bytes that the values of a block may take for all samples that are looked at.
const HELD_BYTES: usize = 3 << 29;

/// The runs that gates are calibrated on, as many as fit in memory, and those that judge them.
pub(super) struct Split {
    pub calibrate: Range<usize>,
    pub judge: Range<usize>,
}

impl Split {
    /// No run is both, unless there is only one; at most half calibrate, three quarters where weights are trained on them, too: all that
    /// do not judge.
    pub fn of(data: &Dataset, blocks: &[Block], trains: bool) -> Self {
        let runs = data.distinct_runs();
        let most = if trains { runs * 3 / 4 } else { runs / 2 };
        let calibrate = affordable(data, blocks).clamp(1, most.max(1)).min(runs);
        let from = if trains { most.max(calibrate) } else { calibrate };
        Self {
            calibrate: 0..calibrate,
            judge: if from < runs { from..runs } else { 0..runs },
        }
    }

    /// Where weights were fitted on the samples before: the runs that were held out then judge here too.
    pub fn of_fitted(data: &Dataset, blocks: &[Block]) -> Self {
        let samples = Samples::new(data.clone());
        Self {
            calibrate: 0..affordable(data, blocks).clamp(1, samples.fit.end.max(1)),
            judge: samples.judge,
        }
    }
}

/// Runs whose values fit in memory for every block.
fn affordable(data: &Dataset, blocks: &[Block]) -> usize {
    let size = |d: &[usize; 3]| 4 * d.iter().product::<usize>();
    let one = |b: &Block| 2 * size(&b.input_dims) + 6 * size(&b.output_dims);
    let most = blocks.iter().map(one).max().unwrap_or(0).max(1);
    HELD_BYTES / most / data.batch().max(1)
}

/// Looks at all blocks on the samples of `runs` runs, and gives every block's candidates; blocks in graph order.
/// Blocks left when the time is up have none.
///
/// # Errors
/// When the model cannot be run in parts.
pub(super) fn candidates(
    search: &GateSearch,
    blocks: &[Block],
    data: &Dataset,
    runs: Range<usize>,
) -> Result<Vec<Vec<GateCandidate>>> {
    let (session, dynamics) = (search.session, search.dynamics);
    let progress = session.progress();
    let mut executor = StagedExecutor::new(session.device, data, runs.clone())?;
    let single = search.batch() == 1;
    let mut all = Vec::new();
    for (done, block) in blocks.iter().enumerate() {
        progress(done, blocks.len());
        if session.limit.is_up() {
            all.resize(blocks.len(), Vec::new());
            break;
        }
        let producers = if single && !dynamics.only_tiles() {
            pairs(block)
        } else {
            Vec::new()
        };
        // Chains may run beside each other.
        if block
            .nodes()
            .into_iter()
            .min()
            .is_some_and(|first| first < executor.at())
        {
            executor = StagedExecutor::new(session.device, data, runs.clone())?;
        }
        advance(&mut executor, search.model, search.graph, block, &producers)?;
        all.push(of_block(&executor, search.graph, block, &producers, dynamics)?);
    }
    progress(blocks.len(), blocks.len());
    Ok(all)
}

fn of_block(
    executor: &StagedExecutor,
    graph: &Graph,
    block: &Block,
    producers: &[usize],
    dynamics: Dynamics,
) -> Result<Vec<GateCandidate>> {
    let mut candidates = Vec::new();
    let candidate = |tiles, channels, retained_energy, fitted, timing_only| GateCandidate {
        gate: Gate {
            block: block.clone(),
            tiles,
            channels,
        },
        retained_energy,
        fitted,
        timing_only,
        timed: None,
        loss: None,
    };
    let cuts = if dynamics.mode == Mode::Fused && !fusible(graph, block) {
        Vec::new()
    } else {
        tilings(block, TILINGS)
    };
    let with_tiles = dynamics.mode != Mode::Channels && !cuts.is_empty();
    if with_tiles {
        for (tiling, seen) in cuts.iter().zip(seen_tiles(executor, graph, block, &cuts)?) {
            let attentions = tile_attentions(&seen);
            for (keep, timing_only) in counts(tiling.tiles(), dynamics.keep) {
                if let Some((attention, retained_energy)) = best(&seen, &attentions, keep) {
                    let gate = tile_gate(&seen, attention, tiling, keep);
                    candidates.push(candidate(
                        Some(gate),
                        Vec::new(),
                        retained_energy,
                        attention.is_fitted(),
                        timing_only,
                    ));
                }
            }
        }
    }
    let tiled = candidates.clone();
    let mut single: Vec<GateCandidate> = Vec::new();
    for &producer in producers {
        let Some(seen) = seen_channels(executor, graph, block, producer)? else {
            continue;
        };
        let attentions = channel_attentions(&seen, graph, block, producer);
        for (keep, timing_only) in counts(seen.parts, dynamics.keep) {
            let Some((attention, retained_energy)) = best(&seen, &attentions, keep) else {
                continue;
            };
            let gate = vec![channel_gate(&seen, attention, producer, keep)];
            let fitted = attention.is_fitted();
            single.push(candidate(None, gate.clone(), retained_energy, fitted, timing_only));
            // Both together, at the share that each has alone: where the user wants one share, that would be another.
            let whole = producer == 0 && dynamics.keep.is_none() && dynamics.mode != Mode::Channels;
            let share = keep as f64 / seen.parts as f64;
            let alike = tiled
                .iter()
                .filter(|t| whole && (t.gate.keep_share() - share).abs() < NEAR);
            // One of the tilings is enough: the one that keeps most.
            if let Some(t) = alike.max_by(|a, b| a.retained_energy.total_cmp(&b.retained_energy)) {
                let retained = t.retained_energy * retained_energy;
                let both = candidate(t.gate.tiles.clone(), gate, retained, t.fitted || fitted, false);
                candidates.push(both);
            }
        }
    }
    let joint = together(&single);
    candidates.extend(single.into_iter().chain(joint));
    candidates.extend(without_fill(&candidates));
    if dynamics.keep.is_none() {
        candidates = promising(candidates);
    }
    Ok(candidates)
}

/// Gates of several producers of one block as one, at about the same share.
fn together(single: &[GateCandidate]) -> Vec<GateCandidate> {
    let mut joint: Vec<GateCandidate> = Vec::new();
    let producer = |o: &GateCandidate| o.gate.channels.first().map(|c| c.producer);
    for first in single
        .iter()
        .filter(|o| producer(o) == single.first().and_then(producer))
    {
        let mut all = first.clone();
        let near = |o: &&GateCandidate| (o.gate.keep_share() - first.gate.keep_share()).abs() < NEAR / 2.0;
        for more in single.iter().filter(|o| producer(o) != producer(first)).filter(near) {
            // One a producer.
            if all.gate.made_at(producer(more).unwrap_or(0)).is_none() {
                all.gate.channels.extend(more.gate.channels.clone());
                all.retained_energy *= more.retained_energy;
                all.fitted |= more.fitted;
                all.timing_only |= more.timing_only;
            }
        }
        if all.gate.channels.len() > 1 {
            joint.push(all);
        }
    }
    joint
}

/// The gates of channels once more with nothing in the place of what is left out: where many are, means of each add up to what
/// no sample shows.
fn without_fill(candidates: &[GateCandidate]) -> Vec<GateCandidate> {
    let filled = candidates.iter().filter(|o| !o.gate.fills_zero());
    filled
        .cloned()
        .map(|mut o| {
            o.gate.channels.iter_mut().for_each(|c| c.fill.fill(0.0));
            o
        })
        .collect()
}

/// Candidates without those that do clearly more work than another of their kind and keep no more.
fn promising(candidates: Vec<GateCandidate>) -> Vec<GateCandidate> {
    let worse = |a: &GateCandidate, b: &GateCandidate| {
        let work = |o: &GateCandidate| o.gate.macs() as f64;
        a.gate.kind() == b.gate.kind() && work(b) < CLEARLY * work(a) && b.retained_energy >= a.retained_energy
    };
    let kept = |o: &&GateCandidate| !candidates.iter().any(|b| worse(o, b));
    candidates.iter().filter(kept).cloned().collect()
}

/// Work below this share of another gate's is clearly less.
const CLEARLY: f64 = 0.9;

/// How many of `parts` to keep; those that are only there to see how time grows with the share are marked.
fn counts(parts: usize, wanted: Option<f64>) -> Vec<(usize, bool)> {
    let near = |share: f64| {
        let count = ((share * parts as f64).round() as usize).clamp(1, parts);
        ((count as f64 / parts as f64 - share).abs() <= NEAR).then_some(count)
    };
    let mut found: Vec<(usize, bool)> = match wanted {
        None => SHARES.iter().filter_map(|&s| near(s)).map(|n| (n, false)).collect(),
        Some(share) => {
            let own = near(share);
            let more = own.map(|n| (2 * n).min(parts)).filter(|&m| Some(m) != own);
            own.map(|n| (n, false))
                .into_iter()
                .chain(more.map(|n| (n, true)))
                .collect()
        }
    };
    found.dedup_by_key(|f| f.0);
    found
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn shares_that_do_not_fit_are_left_out() {
        assert_eq!(counts(4, None), [(1, false), (2, false), (3, false)]);
        assert_eq!(counts(16, None).len(), 5);
        assert_eq!(counts(2, Some(0.25)), []);
        assert_eq!(counts(7, Some(0.5)), [(4, false), (7, true)]);
        assert_eq!(counts(2, Some(0.5)), [(1, false), (2, true)]);
        assert_eq!(counts(4, Some(1.0)), [(4, false)]);
    }
}
