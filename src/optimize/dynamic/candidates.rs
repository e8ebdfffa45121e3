//! The gates that each block could have, calibrated.

use std::ops::Range;

use super::super::options::Mode;
use super::super::samples::Samples;
use super::candidate::{GateCandidate, SHARES, counts};
use super::channels::gated_channels;
use super::search::GateSearch;
use crate::Result;
use crate::data::Dataset;
use crate::gate::{Block, Gate, advance, best, fusible, pairs, seen_tiles, tile_attentions, tile_gate, tilings};
use crate::score::StagedExecutor;

/// Ways of cutting a block that are timed.
const TILINGS: usize = 6;
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
        // Several samples at once take the same channels, which samples tell.
        let channels = (single || session.samples.is_some()) && !dynamics.only_tiles();
        let producers = if channels { pairs(block) } else { Vec::new() };
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
        all.push(of_block(search, &executor, block, &producers)?);
    }
    progress(blocks.len(), blocks.len());
    Ok(all)
}

fn of_block(
    search: &GateSearch,
    executor: &StagedExecutor,
    block: &Block,
    producers: &[usize],
) -> Result<Vec<GateCandidate>> {
    let (graph, dynamics) = (search.graph, search.dynamics);
    let mut candidates = Vec::new();
    let cuts = if dynamics.mode == Mode::Fused && !fusible(graph, block) {
        Vec::new()
    } else {
        tilings(block, TILINGS)
    };
    let with_tiles = dynamics.mode != Mode::Channels && !cuts.is_empty();
    if with_tiles {
        for (tiling, seen) in cuts.iter().zip(seen_tiles(executor, graph, block, &cuts)?) {
            let attentions = tile_attentions(&seen);
            for (keep, timing_only) in counts(tiling.tiles(), &SHARES, dynamics.keep) {
                if let Some((attention, retained_energy)) = best(&seen, &attentions, keep) {
                    let gate = tile_gate(&seen, attention, tiling, keep);
                    candidates.push(GateCandidate {
                        gate: Gate {
                            block: block.clone(),
                            tiles: Some(gate),
                            channels: Vec::new(),
                        },
                        retained_energy,
                        attention: attention.origin,
                        made_up: Vec::new(),
                        timing_only,
                        timed: None,
                        loss: None,
                    });
                }
            }
        }
    }
    candidates.extend(gated_channels(search, executor, (block, producers), &candidates)?);
    if dynamics.keep.is_none() {
        candidates = promising(candidates);
    }
    Ok(candidates)
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
