//! From what samples show to gates: which attention ranks best on samples it did not see, and what skipped parts
//! are taken to be.

use super::block::Block;
use super::regress;
use super::spec::{ChannelGate, TileGate};
use super::statistics::{GateStatistics, PartKind, Table, plain_channel_attention};
use super::window::Tiling;
use crate::onnx::Graph;

/// Scores as weights of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// One row for tiles; a row a channel for channels.
    pub weights: Vec<f32>,
    /// Constant parts, by row.
    pub constants: Vec<f32>,
    /// Where the weights come from.
    pub origin: AttentionOrigin,
    /// Every sample's parts in the order of their scores.
    orders: Vec<Vec<usize>>,
}

/// Where the weights of an attention come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionOrigin {
    /// Equal weights, or those of the model: no samples are needed.
    Plain,
    /// Least squares on samples.
    Fitted,
    /// None: the same parts for every input.
    Fixed,
}

impl Attention {
    /// Whether the weights were fitted to samples.
    pub fn is_fitted(&self) -> bool {
        self.origin == AttentionOrigin::Fitted
    }

    /// No attention: channels by their importance, whatever the input.
    pub(super) fn fixed(statistics: &GateStatistics, importance: &[f32]) -> Self {
        let weights = vec![0.0; statistics.parts * statistics.features.width];
        Self::new(statistics, weights, importance.to_vec(), AttentionOrigin::Fixed)
    }

    /// Weights fitted to samples.
    pub(super) fn fitted(statistics: &GateStatistics, weights: Vec<f32>, constants: Vec<f32>) -> Self {
        Self::new(statistics, weights, constants, AttentionOrigin::Fitted)
    }

    /// The parts that are taken of every sample.
    pub(super) fn chosen(&self, keep: usize) -> Vec<&[usize]> {
        self.orders.iter().map(|o| &o[..keep.min(o.len())]).collect()
    }

    fn new(statistics: &GateStatistics, weights: Vec<f32>, constants: Vec<f32>, origin: AttentionOrigin) -> Self {
        Self {
            orders: (0..statistics.samples)
                .map(|s| ranked(statistics, &weights, &constants, s))
                .collect(),
            weights,
            constants,
            origin,
        }
    }
}

/// The share of samples that attention is fitted on; the rest chooses between kinds of attention.
const FITTED: f64 = 0.75;

/// Attentions of tiles: equal weights, and fitted ones.
pub fn tile_attentions(statistics: &GateStatistics) -> Vec<Attention> {
    let width = statistics.features.width;
    let equal = vec![1.0 / width.max(1) as f32; width];
    let mut all = vec![Attention::new(statistics, equal, vec![0.0], AttentionOrigin::Plain)];
    let rows = fitting(statistics.samples) * statistics.parts;
    let targets = Table {
        width: 1,
        values: statistics.energy.values[..rows].to_vec(),
    };
    let fit = regress::fit(&statistics.features.part(0, rows), &targets);
    all.extend(fit.map(|(weights, _)| Attention::new(statistics, weights, vec![0.0], AttentionOrigin::Fitted)));
    all
}

/// Attentions of channels: the producer's own means, and fitted ones.
pub fn channel_attentions(
    statistics: &GateStatistics,
    graph: &Graph,
    block: &Block,
    producer: usize,
) -> Vec<Attention> {
    let plain = plain_channel_attention(graph, block, producer);
    let rows = fitting(statistics.samples);
    // Roots, so that few samples with great values do not decide alone.
    let mut targets = statistics.energy.part(0, rows);
    targets.values.iter_mut().for_each(|e| *e = e.sqrt());
    let fit = regress::fit(&statistics.features.part(0, rows), &targets);
    let kinds = [(plain, AttentionOrigin::Plain), (fit, AttentionOrigin::Fitted)].into_iter();
    kinds
        .filter_map(|(found, origin)| found.map(|(w, c)| Attention::new(statistics, w, c, origin)))
        .collect()
}

/// Samples that attention is fitted on, of so many; the rest judges.
pub fn fitting(samples: usize) -> usize {
    ((samples as f64 * FITTED) as usize).clamp(1.min(samples), samples)
}

/// The parts of one sample in the order of their scores, greatest first; ties go to the first.
fn ranked(statistics: &GateStatistics, weights: &[f32], constants: &[f32], sample: usize) -> Vec<usize> {
    let width = statistics.features.width;
    let dot = |row: usize, weights: &[f32]| -> f32 {
        let features = &statistics.features.values[row * width..(row + 1) * width];
        features.iter().zip(weights).map(|(a, b)| a * b).sum()
    };
    let scores: Vec<f32> = (0..statistics.parts)
        .map(|p| {
            if statistics.kind == PartKind::Channels {
                dot(sample, &weights[p * width..(p + 1) * width]) + constants[p]
            } else {
                dot(sample * statistics.parts + p, weights)
            }
        })
        .collect();
    let mut order: Vec<usize> = (0..statistics.parts).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order
}

/// The share of all parts' energy that the `keep` best scored parts of each sample hold, over samples `from..to`; between 0 and 1.
pub fn retained_energy(statistics: &GateStatistics, attention: &Attention, keep: usize, from: usize, to: usize) -> f64 {
    let (mut held, mut all) = (0.0, 0.0);
    for sample in from..to {
        let order = &attention.orders[sample];
        let energy = |p: &usize| f64::from(statistics.energy.at(sample, *p));
        held += order[..keep].iter().map(energy).sum::<f64>();
        all += order.iter().map(energy).sum::<f64>();
    }
    if all > 0.0 { held / all } else { 1.0 }
}

/// The attention that retains most energy with `keep` parts, on samples that it was not fitted on; and the share it retains.
pub fn best<'a>(statistics: &GateStatistics, attentions: &'a [Attention], keep: usize) -> Option<(&'a Attention, f64)> {
    let from = fitting(statistics.samples);
    let from = if from == statistics.samples { 0 } else { from };
    let share = |a: &'a Attention| (a, retained_energy(statistics, a, keep, from, statistics.samples));
    // The first of equals: weights that need no samples.
    attentions
        .iter()
        .map(share)
        .reduce(|a, b| if b.1 > a.1 { b } else { a })
}

/// The mean of the parts that are not chosen, by channel.
fn fill(statistics: &GateStatistics, attention: &Attention, keep: usize) -> Vec<f32> {
    let width = statistics.means.width;
    let per_part = statistics.kind == PartKind::Channels;
    let slots = if per_part { statistics.parts } else { width };
    let (mut sums, mut counts) = (vec![0.0f64; slots], vec![0usize; slots]);
    for sample in 0..statistics.samples {
        for &part in &attention.orders[sample][keep..] {
            let row = sample * statistics.parts + part;
            for c in 0..width {
                let slot = if per_part { part } else { c };
                sums[slot] += f64::from(statistics.means.at(row, c));
                counts[slot] += 1;
            }
        }
    }
    let overall = |slot: usize| {
        let rows = (0..statistics.means.rows()).filter(|r| !per_part || r % statistics.parts == slot);
        let column = if per_part { 0 } else { slot };
        let values: Vec<f64> = rows.map(|r| f64::from(statistics.means.at(r, column))).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    let mean = |slot: usize| match counts[slot] {
        0 => overall(slot),
        n => sums[slot] / n as f64,
    };
    (0..slots).map(|slot| mean(slot) as f32).collect()
}

/// A gate of tiles that keeps so many.
pub fn tile_gate(statistics: &GateStatistics, attention: &Attention, tiling: &Tiling, keep: usize) -> TileGate {
    TileGate {
        tiling: tiling.clone(),
        keep,
        attention: attention.weights.clone(),
        fill: match &statistics.map {
            Some(map) => map.clone(),
            None => fill(statistics, attention, keep),
        },
    }
}

/// A gate of channels that keeps so many.
pub fn channel_gate(statistics: &GateStatistics, attention: &Attention, producer: usize, keep: usize) -> ChannelGate {
    ChannelGate {
        producer,
        keep,
        attention: attention.weights.clone(),
        bias: attention.constants.clone(),
        fill: fill(statistics, attention, keep),
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::{GateStatistics, PartKind, Table};
    use super::{best, fill, retained_energy, tile_attentions};

    /// Two features a tile; only the second tells what the tile contributes.
    fn statistics() -> GateStatistics {
        let mut random = fastrand::Rng::with_seed(1);
        let (samples, parts) = (40, 4);
        let features: Vec<f32> = (0..samples * parts * 2).map(|_| random.f32()).collect();
        let energy = features.chunks_exact(2).map(|f| f[1] * f[1]).collect();
        let means = features.chunks_exact(2).flat_map(|f| [f[1]; 2]).collect();
        GateStatistics {
            samples,
            kind: PartKind::Tiles,
            parts,
            features: Table {
                width: 2,
                values: features,
            },
            energy: Table {
                width: parts,
                values: energy,
            },
            means: Table {
                width: 2,
                values: means,
            },
            map: None,
        }
    }

    #[test]
    fn fitted_attention_is_chosen_where_it_ranks_better() -> Result<(), String> {
        let statistics = statistics();
        let attentions = tile_attentions(&statistics);
        let (chosen, share) = best(&statistics, &attentions, 2).ok_or("none")?;
        assert!(chosen.is_fitted() && share > retained_energy(&statistics, &attentions[0], 2, 30, 40));
        assert!(chosen.weights[1] > 10.0 * chosen.weights[0].abs());
        assert_eq!(retained_energy(&statistics, chosen, 4, 0, 40), 1.0);
        Ok(())
    }

    #[test]
    fn skipped_parts_are_taken_to_be_what_skipped_parts_are() -> Result<(), String> {
        let statistics = statistics();
        let attentions = tile_attentions(&statistics);
        let (chosen, _) = best(&statistics, &attentions, 2).ok_or("none")?;
        let all: f64 = statistics.means.means()[0];
        let skipped = fill(&statistics, chosen, 2);
        assert!(
            skipped.iter().all(|&m| f64::from(m) < all - 0.1),
            "{skipped:?} against {all}"
        );
        Ok(())
    }
}
