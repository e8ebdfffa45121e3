//! One line for every block: its gate, or why it has none.

use super::super::options::{Dynamics, Mode, Placement};
use super::super::outcome::GateRow;
use super::attempt::Accepted;
use super::candidate::GateCandidate;
use super::choose::saved;
use crate::gate::{AttentionOrigin, Block, pairs};

/// A line for every block.
pub(super) fn rows(
    blocks: &[Block],
    candidates: &[Vec<GateCandidate>],
    accepted: &Accepted,
    dynamics: Dynamics,
) -> Vec<GateRow> {
    let Accepted {
        wished, chosen: used, ..
    } = accepted;
    let mut all = Vec::new();
    for (b, (block, list)) in blocks.iter().zip(candidates).enumerate() {
        let at = used[b];
        let shown = at
            .or(wished[b])
            .or_else(|| telling(list, dynamics))
            .and_then(|i| list.get(i));
        let reason = match shown {
            Some(_) if at.is_some() && dynamics.placement == Placement::Everywhere => "asked for everywhere",
            Some(_) if at.is_some() && dynamics.keep.is_some() => "measured faster",
            Some(_) if at.is_some() => "measured faster, within the loss allowed",
            Some(_) if wished[b].is_some() => "does not pay in the whole model",
            None if list.is_empty() => nothing_to_leave_out(block, dynamics),
            None => "ONNX Runtime runs none of its gates",
            Some(o) if !o.timed.is_some_and(|t| t.faster) => "the gate takes longer than what it leaves out",
            Some(_) => "saves time, but loses more than is allowed",
        };
        let even = shown.and_then(|o| break_even(list, o));
        all.push(GateRow {
            used: at.is_some(),
            break_even: even,
            reason: reason.to_owned(),
            ..row(block, shown)
        });
    }
    all
}

/// Why a block has no gate that could be tried.
fn nothing_to_leave_out(block: &Block, dynamics: Dynamics) -> &'static str {
    let (channels, whole) = (pairs(block).is_empty(), block.is_excited());
    match dynamics.mode {
        Mode::Channels if channels => {
            "no two of its convolutions follow each other that each mix all channels: grouped ones keep theirs"
        }
        Mode::Channels => "for several samples at once, channels are chosen by calibration samples",
        _ if whole && dynamics.only_tiles() => "a part of it looks at the whole map, of which tiles are no part",
        _ if dynamics.only_tiles() => "no tile divides its map without halos that cost more than they save",
        _ => "no tile divides its map, and no two of its convolutions follow each other that each mix all channels",
    }
}

/// The candidate that tells most about a block without a gate: of those that were judged the one that loses least, else the
/// one that saves most.
fn telling(list: &[GateCandidate], dynamics: Dynamics) -> Option<usize> {
    let fit = |i: &usize| list[*i].timed.is_some() && (dynamics.keep.is_none() || !list[*i].timing_only);
    let worth = |i: usize| {
        list[i]
            .loss
            .map_or((0, saved(&list[i], dynamics.placement)), |l| (1, -l))
    };
    (0..list.len()).filter(fit).max_by(|&a, &b| {
        let (a, b) = (worth(a), worth(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    })
}

/// A line for what looked like a block.
pub(super) fn bare(name: &str, why: &str) -> GateRow {
    GateRow {
        block: name.to_owned(),
        kind: "dense",
        reason: why.to_owned(),
        ..GateRow::default()
    }
}

/// What a line says of a candidate, or of a block without one.
fn row(block: &Block, candidate: Option<&GateCandidate>) -> GateRow {
    let macs = block.macs().max(1) as f64;
    let tile = candidate.and_then(|o| o.gate.tiles.as_ref()).map(|t| t.tiling.tile);
    GateRow {
        block: block.name.clone(),
        kind: candidate.map_or("dense", |o| o.gate.kind()),
        keep: candidate.map(|o| o.gate.keep_share()),
        tile: tile.map(|t| (t.rows, t.columns)),
        ms_dense: candidate.and_then(|o| o.timed).map(|t| t.dense_ms),
        ms_gated: candidate.and_then(|o| o.timed).map(|t| t.gated_ms),
        flops_share: candidate.map(|o| o.gate.macs() as f64 / macs),
        loss: candidate.and_then(|o| o.loss),
        retained_energy: candidate.map(|o| o.retained_energy),
        attention: candidate.map(|o| match o.attention {
            AttentionOrigin::Plain => "mean",
            AttentionOrigin::Fitted => "fitted",
            AttentionOrigin::Fixed => "fixed",
        }),
        ..GateRow::default()
    }
}

/// The share at which gates of a candidate's kind (and tile) cost what the dense block costs, by a line through their
/// times; `None` with fewer than two shares.
fn break_even(list: &[GateCandidate], of: &GateCandidate) -> Option<f64> {
    let tile = |o: &GateCandidate| o.gate.tiles.as_ref().map(|t| t.tiling.tile);
    let producers = |o: &GateCandidate| o.gate.channels.iter().map(|c| c.producer).collect::<Vec<_>>();
    let alike = list
        .iter()
        .filter(|o| tile(o) == tile(of) && producers(o) == producers(of));
    let points: Vec<(f64, f64)> = alike
        .filter_map(|o| o.timed.map(|t| (o.gate.keep_share(), t.gated_ms / t.dense_ms)))
        .collect();
    let count = points.len() as f64;
    let (mx, my) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), p| (x + p.0 / count, y + p.1 / count));
    let spread: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / spread;
    (points.len() > 1 && spread > 0.0 && slope > 0.0).then(|| (mx + (1.0 - my) / slope).clamp(0.0, 1.0))
}
