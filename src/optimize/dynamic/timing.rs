//! Every candidate timed as a whole against the dense block, in its place between its neighbours.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::alike::likeness;
use super::candidate::{GateCandidate, Timed};
use super::search::GateSearch;
use crate::Result;
use crate::device::{CpuFallback, NamedTensor};
use crate::gate::{Block, Gate, gated};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::ops::{LinearKind, LinearSpec};
use crate::score::{StagedExecutor, read_from};
use crate::verify::{Entry, Verdict, benchmark};

/// Seconds for each entry of a block's benchmark, and of the short one before it.
const ENTRY_SECONDS: f64 = 0.2;
const SHORT_SECONDS: f64 = 0.04;
/// A gate that takes so many times what the dense block takes in the short one is not measured again.
const HOPELESS: f64 = 1.1;
/// A gate that takes less than this share of another's time is clearly faster, in the short one too.
const CLEARLY: f64 = 0.85;
/// Nodes looked at on each side for a convolution, whose layout the block's neighbours share.
const NEIGHBOURS: usize = 6;

/// Times all candidates of all blocks, on the given inputs. A candidate that ONNX Runtime refuses stays untimed, and so do
/// those left when the time is up.
///
/// # Errors
/// When the dense model cannot be run in parts.
pub(super) fn time(search: &GateSearch, inputs: &[NamedTensor], candidates: &mut [Vec<GateCandidate>]) -> Result<()> {
    let (model, graph, session) = (search.model, search.graph, search.session);
    let (device, timer, progress) = (session.device, session.timer()?, session.progress());
    let mut executor = StagedExecutor::of(device, inputs)?;
    // Blocks that are alike are timed once.
    let mut known: HashMap<[blake3::Hash; 2], Timed> = HashMap::new();
    let total = candidates.len();
    for (done, list) in candidates.iter_mut().enumerate() {
        progress(done, total);
        if session.limit.is_up() {
            break;
        }
        let Some(block) = list.first().map(|o| o.gate.block.clone()) else {
            continue;
        };
        let (from, to) = around(graph, &block);
        if executor.at() > from {
            executor = StagedExecutor::of(device, inputs)?;
        }
        executor.advance(model, graph, from, &[])?;
        let keep: HashSet<&str> = read_from(graph, to);
        let keep = |name: &str| keep.contains(name);
        let Some((dense, given)) = executor.subgraph(model, graph, from..to, &keep)? else {
            continue;
        };
        let own = likeness(&dense, &given);
        let mut entries = vec![encode(&dense)];
        let mut benchmarked: Vec<usize> = Vec::new();
        let mut likenesses: Vec<[blake3::Hash; 2]> = Vec::new();
        for (at, candidate) in list.iter_mut().enumerate() {
            if let Some(entry) = entry(search, &executor, &candidate.gate, from..to, &keep)? {
                let alike = [own, likeness(&entry, &given)];
                candidate.timed = known.get(&alike).copied();
                if candidate.timed.is_none() {
                    entries.push(encode(&entry));
                    benchmarked.push(at);
                    likenesses.push(alike);
                }
            }
        }
        if benchmarked.is_empty() {
            continue;
        }
        let refused = |k: usize| timer.load(&entries[k], &given, CpuFallback::Allowed).is_err();
        let side_by_side = |which: &[usize], seconds: f64| {
            let models: Vec<&[u8]> = which
                .iter()
                .filter_map(|&k| entries.get(k))
                .map(Vec::as_slice)
                .collect();
            benchmark(timer, &models, &given, seconds * models.len() as f64)
        };
        let mut which: Vec<usize> = (0..entries.len()).collect();
        let short = match side_by_side(&which, SHORT_SECONDS) {
            Ok(times) => times,
            // Rarely one is refused; then each is tried, and the others are timed.
            Err(_) => {
                which.retain(|&k| k == 0 || !refused(k));
                side_by_side(&which, SHORT_SECONDS)?
            }
        };
        for (&k, entry) in which.iter().zip(&short) {
            note(list, &benchmarked, k, (&short, entry));
        }
        let close: Vec<usize> = which
            .iter()
            .zip(&short)
            .filter(|(k, entry)| {
                // What may be chosen is timed in full.
                let spared = entry.verdict() != Verdict::Faster && outdone(list, &benchmarked, **k);
                **k == 0 || (entry.ratio() < HOPELESS && !spared)
            })
            .map(|(&k, _)| k)
            .collect();
        if close.len() > 1 {
            let times = side_by_side(&close, ENTRY_SECONDS)?;
            for (&k, entry) in close.iter().zip(&times) {
                note(list, &benchmarked, k, (&times, entry));
            }
        }
        let timed = benchmarked.iter().filter_map(|&at| list.get(at)?.timed);
        if benchmarked
            .iter()
            .all(|&at| list.get(at).is_some_and(|o| o.timed.is_some()))
        {
            known.extend(likenesses.into_iter().zip(timed));
        }
    }
    progress(total, total);
    Ok(())
}

/// Whether entry `k` need not be measured again: another gate that leaves as little or as much behind was clearly faster, and keeps no less.
fn outdone(list: &[GateCandidate], candidates: &[usize], k: usize) -> bool {
    let at = k.checked_sub(1).and_then(|k| candidates.get(k));
    let Some(own) = at.and_then(|&at| list.get(at)) else {
        return false;
    };
    let ratio = |o: &GateCandidate| o.timed.map(|t| t.gated_ms / t.dense_ms);
    let better = |o: &GateCandidate| {
        o.gate.fills_zero() == own.gate.fills_zero()
            && o.timing_only == own.timing_only
            && o.retained_energy >= own.retained_energy
            && ratio(o).zip(ratio(own)).is_some_and(|(o, own)| o < CLEARLY * own)
    };
    list.iter().any(better)
}

/// Notes the time of entry `k` of a block's benchmark, whose first is the dense block and whose others are those candidates.
fn note(list: &mut [GateCandidate], candidates: &[usize], k: usize, (all, entry): (&[Entry], &Entry)) {
    let dense = all.first().map(|d| d.summary().median);
    let at = k.checked_sub(1).and_then(|k| candidates.get(k));
    if let (Some(dense_ms), Some(candidate)) = (dense, at.and_then(|&at| list.get_mut(at))) {
        candidate.timed = Some(Timed {
            dense_ms,
            gated_ms: dense_ms * entry.ratio(),
            faster: entry.verdict() == Verdict::Faster,
        });
    }
}

/// The part of the gated model between the neighbours; `None` when it makes nothing.
fn entry(
    search: &GateSearch,
    executor: &StagedExecutor,
    gate: &Gate,
    nodes: Range<usize>,
    keep: &dyn Fn(&str) -> bool,
) -> Result<Option<ModelProto>> {
    let graph = search.graph;
    let with = gated(search.model, graph, &[gate], search.dynamics.form())?;
    let own = Graph::of(&with)?;
    let range = place(graph, &own, nodes.start)..place(graph, &own, nodes.end);
    let part = executor.subgraph(&with, &own, range, keep)?;
    Ok(part.map(|(part, _)| part))
}

/// Where node `at` of a graph stands in a rewritten one whose nodes outside of blocks are the same: behind the last
/// node before it that both have.
pub(super) fn place(graph: &Graph, other: &Graph, at: usize) -> usize {
    let before = (0..at).rev().find_map(|n| {
        let name = graph.proto.node[n].output.iter().find(|o| !o.is_empty())?;
        other.producer.get(name.as_str())
    });
    before.map_or(0, |&n| n + 1)
}

/// The block's nodes and those around it up to the next convolution on each side.
fn around(graph: &Graph, block: &Block) -> (usize, usize) {
    let nodes = &graph.proto.node;
    let first = block.nodes().into_iter().min().unwrap_or(0);
    let source = graph
        .producer
        .get(block.input.as_str())
        .copied()
        .unwrap_or(first)
        .min(first);
    let is_layer = |n: &usize| LinearSpec::kind_of(&nodes[*n]) == Some(LinearKind::Conv);
    let from = (source.saturating_sub(NEIGHBOURS)..=source)
        .rev()
        .find(is_layer)
        .unwrap_or(source);
    let behind = block.last() + 1..(block.last() + 1 + NEIGHBOURS).min(nodes.len());
    let to = behind.clone().find(is_layer).map_or(behind.end, |n| n + 1);
    (from, to.max(block.last() + 1))
}
