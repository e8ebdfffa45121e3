//! What a gate is, as data.

use super::block::Block;
use super::window::Tiling;

/// What takes the place of a block: which tiles and which hidden channels are computed, and how they are chosen.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The block.
    pub block: Block,
    /// Tiles of the block's output.
    pub tiles: Option<TileGate>,
    /// Channels between convolutions of the branch, front to back; each has a producer of its own.
    pub channels: Vec<ChannelGate>,
}

/// How a gate is made of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateForm {
    /// Computes what is kept.
    Compact,
    /// The reference form: computes everything and masks it. As slow as the dense block, and simple enough to be believed.
    Masked,
    /// Computes what is kept, by operators of our own where the gate allows it; compact elsewhere.
    Fused,
}

/// The branch is computed for some tiles only.
#[derive(Clone, Debug)]
pub struct TileGate {
    /// The tiles.
    pub tiling: Tiling,
    /// Tiles computed for each sample.
    pub keep: usize,
    /// Weights of the input's channels (mean magnitude over a tile) in the tile's score.
    pub attention: Vec<f32>,
    /// What the branch is taken to be elsewhere: by channel; of a plain chain by channel, row and column.
    pub fill: Vec<f32>,
}

/// One convolution makes, and the next reads, some channels only; depthwise ones between run on these. For one sample at
/// a time, unless the choice is fixed.
#[derive(Clone, Debug)]
pub struct ChannelGate {
    /// Index of the step that makes the channels; the next convolution of the branch reads them.
    pub producer: usize,
    /// Channels computed.
    pub keep: usize,
    /// Weights of the producer's input channels (means over space) in the score of each channel: channels × inputs.
    pub attention: Vec<f32>,
    /// Constant part of the scores.
    pub bias: Vec<f32>,
    /// What the channels are taken to be otherwise.
    pub fill: Vec<f32>,
}

impl ChannelGate {
    /// The channels that are taken whatever the input, where no attention has a say: those of the greatest constant parts, in their order.
    pub fn fixed(&self) -> Option<Vec<usize>> {
        if self.attention.iter().any(|&w| w != 0.0) {
            return None;
        }
        let mut order: Vec<usize> = (0..self.bias.len()).collect();
        order.sort_by(|&a, &b| self.bias[b].total_cmp(&self.bias[a]).then(a.cmp(&b)));
        order.truncate(self.keep);
        order.sort_unstable();
        Some(order)
    }

    /// Index of the step that reads the channels.
    pub fn consumer(&self, block: &Block) -> usize {
        block.consumer(self.producer)
    }
}

impl Gate {
    /// `tiles`, `channels` or `both`.
    pub fn kind(&self) -> &'static str {
        match (&self.tiles, self.channels.is_empty()) {
            (Some(_), false) => "both",
            (Some(_), true) => "tiles",
            _ => "channels",
        }
    }

    /// Whether it takes one sample at a time: where attention chooses channels, it chooses weights.
    pub fn takes_one_sample(&self) -> bool {
        self.channels.iter().any(|c| c.fixed().is_none())
    }

    /// Whether channels that are not computed count as zero.
    pub fn fills_zero(&self) -> bool {
        self.channels.iter().all(|c| c.fill.iter().all(|&v| v == 0.0))
    }

    /// The gate whose channels a step makes.
    pub fn made_at(&self, step: usize) -> Option<&ChannelGate> {
        self.channels.iter().find(|c| c.producer == step)
    }

    /// The gate whose channels a step reads and mixes.
    pub fn read_at(&self, step: usize) -> Option<&ChannelGate> {
        self.channels.iter().find(|c| c.consumer(&self.block) == step)
    }

    /// The gate between whose two convolutions a step is.
    pub fn around(&self, step: usize) -> Option<&ChannelGate> {
        let within = |c: &&ChannelGate| c.producer < step && step < c.consumer(&self.block);
        self.channels.iter().find(within)
    }

    /// The share of tiles, multiplied by the mean share of channels.
    pub fn keep_share(&self) -> f64 {
        let tiles = self
            .tiles
            .as_ref()
            .map_or(1.0, |t| t.keep as f64 / t.tiling.tiles() as f64);
        let shares = self.channels.iter().map(|c| c.keep as f64 / c.fill.len() as f64);
        let channels = match self.channels.len() {
            0 => 1.0,
            count => shares.sum::<f64>() / count as f64,
        };
        tiles * channels
    }

    /// Multiply-accumulates that are executed for one sample: the branch's and the attention's.
    pub fn macs(&self) -> u64 {
        let block = &self.block;
        let shape = block.shape();
        let times = self.tiles.as_ref().map_or(1, |t| t.keep as u64);
        let mut sum = 0;
        for (s, step) in block.steps.iter().enumerate() {
            let Some(layer) = step.layer() else { continue };
            let dim = match &self.tiles {
                Some(t) => t.tiling.windows[s + 1].map(|w| w.size),
                None => shape[s + 1],
            };
            let mut layer = layer.clone();
            if let Some(c) = self.around(s) {
                (layer.inputs, layer.outputs, layer.spec.groups) = (c.keep, c.keep, c.keep);
            }
            if let Some(c) = self.made_at(s) {
                layer.outputs = c.keep;
            }
            if let Some(c) = self.read_at(s) {
                layer.inputs = c.keep;
            }
            sum += times * layer.macs(dim);
        }
        let tiles = self.tiles.as_ref().map_or(0, |t| t.attention.len() * t.tiling.tiles());
        let channels: usize = self
            .channels
            .iter()
            .filter(|c| c.fixed().is_none())
            .map(|c| c.attention.len())
            .sum();
        sum + (tiles + channels) as u64
    }
}
