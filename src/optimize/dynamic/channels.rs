//! The gates of channels that a block could have.

use std::sync::Arc;

use super::super::options::Mode;
use super::candidate::{GateCandidate, NEAR, counts};
use super::search::GateSearch;
use crate::Result;
use crate::gate::{
    AttentionOrigin, Block, ChannelChoice, Excite, Gate, ReaderView, Readers, best, channel_attentions,
    channel_choices, channel_gate, fitting, pairs, seen_channels,
};
use crate::score::StagedExecutor;

/// Shares that are tried where the user wants none in particular: late layers of networks that are wide for their classes need few.
const SHARES: [f64; 9] = [0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
/// Of two ways that keep about alike, the one without attention is taken where the share of channels is given.
const ALIKE: f64 = 1e-3;

/// A block's gates of channels, alone, several at once, and with those of tiles that leave out about as much. Where the samples are real, layers learn from them
/// to make up for what is left out.
///
/// # Errors
/// When a value of the block cannot be seen.
pub(super) fn gated_channels(
    search: &GateSearch,
    executor: &StagedExecutor,
    (block, producers): (&Block, &[usize]),
    tiled: &[GateCandidate],
) -> Result<Vec<GateCandidate>> {
    let (graph, dynamics) = (search.graph, search.dynamics);
    let (learns, one) = (search.session.samples.is_some(), search.batch() == 1);
    let mut both = Vec::new();
    let mut single: Vec<GateCandidate> = Vec::new();
    for &producer in producers {
        let Some(seen) = seen_channels(executor, graph, block, producer)? else {
            continue;
        };
        let attentions = channel_attentions(&seen, graph, block, producer);
        let view = match learns {
            true => ReaderView::of(executor, graph, block, producer)?,
            false => None,
        };
        let importance = view
            .as_ref()
            .map(|v| v.importance(0..fitting(seen.samples)))
            .transpose()?;
        let modules: Vec<&Excite> = block.excited(producer).filter(|_| learns).collect();
        let views = modules
            .iter()
            .map(|module| ReaderView::of_means(executor, graph, module));
        let views: Vec<ReaderView> = views.collect::<Result<Option<_>>>()?.unwrap_or_default();
        for (keep, timing_only) in counts(seen.parts, &SHARES, dynamics.keep) {
            let mut choices = match view.as_ref().zip(importance.as_ref()) {
                Some((reader, importance)) => {
                    let readers = Readers {
                        reader,
                        importance,
                        modules: &views,
                    };
                    channel_choices(&seen, readers, &attentions, (producer, keep))?
                }
                None => {
                    let best = best(&seen, &attentions, keep);
                    let choice = best.map(|(attention, kept)| ChannelChoice {
                        gate: channel_gate(&seen, attention, producer, keep),
                        origin: attention.origin,
                        kept,
                        made_up: None,
                        in_modules: Vec::new(),
                    });
                    choice.into_iter().collect()
                }
            };
            choices.retain(|c| one || c.origin == AttentionOrigin::Fixed);
            for choice in wanted(choices, dynamics.keep) {
                let reader = block.steps.get(block.consumer(producer)).and_then(|s| s.layer());
                let made_up = choice.made_up.map(Arc::new);
                let made_up = reader.map(|l| l.node).zip(made_up);
                let squeezes = modules.iter().map(|module| module.squeeze.node);
                let in_modules = squeezes
                    .zip(choice.in_modules)
                    .filter_map(|(node, m)| Some((node, Arc::new(m?))));
                let candidate = GateCandidate {
                    gate: Gate {
                        block: block.clone(),
                        tiles: None,
                        channels: vec![choice.gate],
                    },
                    retained_energy: choice.kept,
                    attention: choice.origin,
                    made_up: made_up.into_iter().chain(in_modules).collect(),
                    timing_only,
                    timed: None,
                    loss: None,
                };
                // Both together, at the share that each has alone: where the user wants one share, that would be another.
                let whole = producer == 0 && dynamics.keep.is_none() && dynamics.mode != Mode::Channels;
                both.extend(with_tiles(&candidate, tiled).filter(|_| whole));
                single.push(candidate);
            }
        }
    }
    let joint = together(&single, pairs(block).len());
    both.extend(single.into_iter().chain(joint));
    let zeros = without_fill(&both);
    both.extend(zeros);
    Ok(both)
}

/// Of the ways to take so many channels all; where the share is given one, as its time must not choose.
fn wanted(mut choices: Vec<ChannelChoice>, share: Option<f64>) -> Vec<ChannelChoice> {
    if share.is_none() {
        return choices;
    }
    let most = choices.iter().map(|c| c.kept).fold(0.0, f64::max);
    let at = choices.iter().position(|c| c.kept >= most - ALIKE);
    at.map(|at| choices.swap_remove(at)).into_iter().collect()
}

/// The same with the gate of tiles of about that share that keeps most: one of the tilings is enough.
fn with_tiles(candidate: &GateCandidate, tiled: &[GateCandidate]) -> Option<GateCandidate> {
    let share = candidate.gate.keep_share();
    let alike = tiled.iter().filter(|t| (t.gate.keep_share() - share).abs() < NEAR);
    let most = alike.max_by(|a, b| a.retained_energy.total_cmp(&b.retained_energy))?;
    let mut all = candidate.clone();
    all.gate.tiles.clone_from(&most.gate.tiles);
    all.retained_energy *= most.retained_energy;
    all.attention = joined(all.attention, most.attention);
    Some(all)
}

/// Where the attention of two gates comes from: from samples where one does.
fn joined(a: AttentionOrigin, b: AttentionOrigin) -> AttentionOrigin {
    match (a, b) {
        (AttentionOrigin::Fixed, other) | (other, AttentionOrigin::Fixed) => other,
        (AttentionOrigin::Plain, AttentionOrigin::Plain) => AttentionOrigin::Plain,
        _ => AttentionOrigin::Fitted,
    }
}

/// Gates of all producers of one block as one, of the same kind: at about the same share, and at shares that keep about as much.
fn together(single: &[GateCandidate], producers: usize) -> Vec<GateCandidate> {
    let producer = |o: &GateCandidate| o.gate.channels.first().map(|c| c.producer);
    let mut others: Vec<usize> = single.iter().filter_map(producer).collect();
    others.sort_unstable();
    others.dedup();
    let keeps = |o: &GateCandidate| o.gate.channels.iter().map(|c| c.keep).collect::<Vec<_>>();
    let mut joint: Vec<GateCandidate> = Vec::new();
    for first in single {
        let rest = others.iter().filter(|&&p| Some(p) != producer(first));
        // Those that take the same channels always go with their kind; attention with attention first.
        let alike = |o: &&GateCandidate| o.timing_only == first.timing_only && (!fixed(first) || fixed(o));
        for by_share in [true, false] {
            let apart = |o: &GateCandidate| match by_share {
                true => (o.gate.keep_share() - first.gate.keep_share()).abs(),
                false => (lost(o) / lost(first)).ln().abs(),
            };
            let mut all = first.clone();
            for &other in rest.clone() {
                let of = single.iter().filter(|o| producer(o) == Some(other)).filter(alike);
                let nearest = of.min_by(|a, b| apart(a).total_cmp(&apart(b)).then(fixed(a).cmp(&fixed(b))));
                if let Some(more) = nearest.filter(|o| !by_share || apart(o) < NEAR / 2.0) {
                    all.gate.channels.extend(more.gate.channels.clone());
                    all.made_up.extend(more.made_up.clone());
                    all.retained_energy *= more.retained_energy;
                    all.attention = joined(all.attention, more.attention);
                }
            }
            all.gate.channels.sort_by_key(|c| c.producer);
            let known = |o: &GateCandidate| keeps(o) == keeps(&all) && fixed(o) == fixed(&all);
            let whole = all.gate.channels.len() > 1 && all.gate.channels.len() == producers;
            if whole && !joint.iter().any(known) {
                joint.push(all);
            }
        }
    }
    joint
}

/// Whether the same channels are taken for every input.
fn fixed(candidate: &GateCandidate) -> bool {
    candidate.attention == AttentionOrigin::Fixed
}

/// The share that is lost, by which shares of several layers are matched.
fn lost(candidate: &GateCandidate) -> f64 {
    (1.0 - candidate.retained_energy).max(1e-6)
}

/// Gates whose readers make up for nothing once more with nothing in the place of what is left out: where many are, means of each add up to
/// what no sample shows.
fn without_fill(candidates: &[GateCandidate]) -> Vec<GateCandidate> {
    let filled = candidates
        .iter()
        .filter(|o| o.made_up.is_empty() && !o.gate.channels.is_empty() && !o.gate.fills_zero());
    filled
        .cloned()
        .map(|mut o| {
            o.gate.channels.iter_mut().for_each(|c| c.fill.fill(0.0));
            o
        })
        .collect()
}
