//! What calibration samples show of a block: features that attention can see, and what its parts contribute.

use rayon::prelude::*;

use super::block::Block;
use super::window::Tiling;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::StagedExecutor;
use crate::{Error, Result};

/// Rows of so many numbers each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Numbers in a row.
    pub width: usize,
    /// Row after row.
    pub values: Vec<f32>,
}

impl Table {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// One number.
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.values[row * self.width + column]
    }

    /// Rows `from..to`.
    pub fn part(&self, from: usize, to: usize) -> Self {
        Self {
            width: self.width,
            values: self.values[from * self.width..to * self.width].to_vec(),
        }
    }

    /// Means of the columns.
    pub fn means(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        for row in self.values.chunks_exact(self.width.max(1)) {
            sums.iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(v));
        }
        let rows = self.rows().max(1) as f64;
        sums.iter_mut().for_each(|s| *s /= rows);
        sums
    }
}

/// What a gate leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Tiles of the map.
    Tiles,
    /// Channels between two convolutions.
    Channels,
}

/// The samples as one way of cutting into tiles, or of leaving out channels, shows them.
#[derive(Clone, Debug)]
pub struct GateStatistics {
    /// Samples.
    pub samples: usize,
    /// What the parts are.
    pub kind: PartKind,
    /// Parts of a sample that may be left out: tiles, or channels.
    pub parts: usize,
    /// Features: a row a tile, or a row a sample where the parts are channels.
    pub features: Table,
    /// What leaving each part out changes, squared: samples × parts.
    pub energy: Table,
    /// Means of the values that go: a row of channels a tile, or one number a channel: samples × parts rows.
    pub means: Table,
    /// Of a plain chain's tiles, the mean over the samples: channels × rows × columns.
    pub map: Option<Vec<f32>>,
}

/// Values of all runs by sample.
pub(super) struct Values {
    /// Channels, rows and columns.
    pub dims: [usize; 3],
    pub samples: Vec<Vec<f32>>,
}

impl Values {
    pub(super) fn of(executor: &StagedExecutor, name: &str) -> Result<Self> {
        let mut found = Self {
            dims: [0; 3],
            samples: Vec::new(),
        };
        for run in 0..executor.runs().len() {
            let held = executor.value(run, name)?;
            let (dims, values) = (held.dims(), held.floats());
            let (&[_, c, h, w], Some(values)) = (&dims[..], values) else {
                return Err(Error::Model(format!("value '{name}' is no map of floats")));
            };
            found.dims = [c, h, w];
            found
                .samples
                .extend(values.chunks_exact((c * h * w).max(1)).map(<[f32]>::to_vec));
        }
        Ok(found)
    }

    /// The mean over the samples, place by place.
    fn mean_map(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.dims.iter().product()];
        for sample in &self.samples {
            sums.iter_mut().zip(sample).for_each(|(s, &v)| *s += f64::from(v));
        }
        let count = self.samples.len().max(1) as f64;
        sums.iter().map(|s| (s / count) as f32).collect()
    }

    /// For every sample, means over tiles (`counts` by axis) of what `of` makes of each number; a row of channels a tile.
    pub(super) fn tile_means(&self, counts: [usize; 2], of: impl Fn(f32) -> f32 + Sync) -> Table {
        let [c, h, w] = self.dims;
        let (rows, columns) = (h / counts[0], w / counts[1]);
        let share = 1.0 / (rows * columns) as f32;
        let one = |sample: &Vec<f32>| {
            let mut sums = vec![0.0f32; counts[0] * counts[1] * c];
            for (at, line) in sample.chunks_exact(w).enumerate() {
                let (channel, row) = (at / h, at % h);
                for (j, run) in line.chunks_exact(columns).enumerate() {
                    let tile = row / rows * counts[1] + j;
                    sums[tile * c + channel] += run.iter().map(|&v| of(v)).sum::<f32>() * share;
                }
            }
            sums
        };
        Table {
            width: c,
            values: self.samples.par_iter().flat_map_iter(one).collect(),
        }
    }
}

/// The statistics of a block's tiles, one for each tiling. The executor has been advanced to the block's addition ([`advance`]).
///
/// # Errors
/// When a value of the block cannot be seen.
pub fn seen_tiles(
    executor: &StagedExecutor,
    graph: &Graph,
    block: &Block,
    tilings: &[Tiling],
) -> Result<Vec<GateStatistics>> {
    let x = Values::of(executor, &block.input)?;
    let branch = Values::of(executor, &block.branch)?;
    let other = match &block.other {
        Some(other) => Values::of(executor, other)?.samples,
        None => vec![vec![0.0; branch.dims.iter().product()]; branch.samples.len()],
    };
    let map = block.other.is_none().then(|| branch.mean_map());
    let relu = block
        .activation
        .is_some_and(|n| graph.proto.node[n].op_type() == "Relu");
    let act = |v: f32| if relu { v.max(0.0) } else { v };
    let mut all = Vec::new();
    for tiling in tilings {
        let features = x.tile_means(tiling.counts, f32::abs);
        let means = branch.tile_means(tiling.counts, |v| v);
        let [c, h, w] = branch.dims;
        let spread = |means: Vec<f64>| means.iter().flat_map(|&m| vec![m as f32; h * w]).collect();
        let middle: Vec<f32> = map.clone().unwrap_or_else(|| spread(means.means()));
        let (rows, columns) = (h / tiling.counts[0], w / tiling.counts[1]);
        let one = |(y, o): (&Vec<f32>, &Vec<f32>)| {
            let mut sums = vec![0.0f32; tiling.tiles()];
            for at in 0..c * h {
                let row = at % h;
                let line = at * w..(at + 1) * w;
                let places = y[line.clone()].iter().zip(&o[line.clone()]).zip(&middle[line]);
                for (k, ((&y, &o), &middle)) in places.enumerate() {
                    let change = act(o + y) - act(o + middle);
                    sums[row / rows * tiling.counts[1] + k / columns] += change * change;
                }
            }
            sums
        };
        let energy = branch.samples.par_iter().zip(&other).flat_map_iter(one);
        all.push(GateStatistics {
            samples: x.samples.len(),
            kind: PartKind::Tiles,
            parts: tiling.tiles(),
            features,
            energy: Table {
                width: tiling.tiles(),
                values: energy.collect(),
            },
            means,
            map: map.clone(),
        });
    }
    Ok(all)
}

/// The steps whose convolutions make channels that the next convolution reads, where both allow to leave some out; depthwise
/// convolutions may stand between.
pub fn pairs(block: &Block) -> Vec<usize> {
    let whole = |s: usize| block.steps[s].layer().is_some_and(|l| l.spec.groups == 1);
    let read = |s: usize| block.consumer(s) != s && whole(block.consumer(s));
    (0..block.steps.len()).filter(|&s| whole(s) && read(s)).collect()
}

/// Names of the values that a channel gate looks at: the producer's input and the consumer's input.
pub fn pair_values(graph: &Graph, block: &Block, producer: usize) -> Option<(String, String)> {
    let name = |s: usize| graph.proto.node[block.steps[s].layer()?.node].input.first().cloned();
    Some((name(producer)?, name(block.consumer(producer))?))
}

/// The statistics of the channels between two convolutions; `None` where weights cannot be read. The executor has been advanced to
/// the block's addition ([`advance`]).
///
/// # Errors
/// When a value cannot be seen.
pub fn seen_channels(
    executor: &StagedExecutor,
    graph: &Graph,
    block: &Block,
    producer: usize,
) -> Result<Option<GateStatistics>> {
    let Some((x, hidden)) = pair_values(graph, block, producer) else {
        return Ok(None);
    };
    let (x, hidden) = (Values::of(executor, &x)?, Values::of(executor, &hidden)?);
    let Some(norms) = consumer_norms(graph, block, producer) else {
        return Ok(None);
    };
    let features = x.tile_means([1, 1], |v| v);
    let means = hidden.tile_means([1, 1], |v| v);
    let middle = means.means();
    let [c, h, w] = hidden.dims;
    let one = |sample: &Vec<f32>| {
        let planes = sample.chunks_exact((h * w).max(1)).zip(&middle).zip(&norms);
        planes
            .map(|((plane, &m), &norm)| {
                plane.iter().map(|&v| (v - m as f32).powi(2)).sum::<f32>() / (h * w) as f32 * norm
            })
            .collect::<Vec<f32>>()
    };
    let energy = hidden.samples.par_iter().flat_map_iter(one).collect();
    let means = Table {
        width: 1,
        values: means.values,
    };
    Ok(Some(GateStatistics {
        samples: x.samples.len(),
        kind: PartKind::Channels,
        parts: c,
        features,
        energy: Table {
            width: c,
            values: energy,
        },
        means,
        map: None,
    }))
}

/// For each channel, the squared norm of the consumer's weights that read it.
fn consumer_norms(graph: &Graph, block: &Block, producer: usize) -> Option<Vec<f32>> {
    let consumer = block.steps[block.consumer(producer)].layer()?;
    let weight = consumer.weights(graph)?;
    let taps = consumer.taps();
    let mut norms = vec![0.0f32; consumer.inputs];
    for row in weight.chunks_exact(consumer.inputs * taps) {
        for (norm, w) in norms.iter_mut().zip(row.chunks_exact(taps)) {
            *norm += w.iter().map(|v| v * v).sum::<f32>();
        }
    }
    Some(norms)
}

/// Scores that need no samples: a channel's expected mean (the producer's weights summed over its taps, on the means of its
/// input), times the norm of the consumer's weights that read it. Weights (channels × inputs) and constants (channels).
pub fn plain_channel_attention(graph: &Graph, block: &Block, producer: usize) -> Option<(Vec<f32>, Vec<f32>)> {
    let layer = block.steps[producer].layer()?;
    let norms = consumer_norms(graph, block, producer)?;
    let (weight, bias) = (layer.weights(graph)?, layer.bias(graph)?);
    let taps = layer.taps();
    let mut attention = Vec::with_capacity(layer.outputs * layer.inputs);
    for (row, norm) in weight.chunks_exact(layer.inputs * taps).zip(&norms) {
        attention.extend(row.chunks_exact(taps).map(|w| w.iter().sum::<f32>() * norm.sqrt()));
    }
    Some((attention, bias.iter().zip(&norms).map(|(b, n)| b * n.sqrt()).collect()))
}

/// Advances the executor to a block's addition, or behind a plain chain, and has it keep the values that gates look at; `pairs`: the producers ([`pairs`]).
///
/// # Errors
/// When the part up to there cannot be run.
pub fn advance(
    executor: &mut StagedExecutor,
    model: &ModelProto,
    graph: &Graph,
    block: &Block,
    pairs: &[usize],
) -> Result<()> {
    let mut also = vec![block.input.clone(), block.branch.clone()];
    also.extend(block.other.clone());
    for &producer in pairs {
        if let Some((x, hidden)) = pair_values(graph, block, producer) {
            also.extend([x, hidden]);
        }
        let pooled = block.excited(producer).map(|module| &graph.proto.node[module.pool]);
        also.extend(pooled.filter_map(|pool| pool.input.first().cloned()));
    }
    let names: Vec<&str> = also.iter().map(String::as_str).collect();
    let to = block.end + usize::from(block.other.is_none());
    executor.advance(model, graph, to, &names)
}
