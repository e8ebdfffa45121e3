//! A layer as a problem: everything its time depends on but the values of the weights.

use serde::{Deserialize, Serialize};

/// What makes a layer's input, as far as its memory layout depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Feed {
    /// The graph's input, in its plain layout.
    Input,
    /// A plain layer: a blocked layout whenever the provider makes one for such a width.
    Plain,
    /// A depthwise layer: blocked only at widths that it blocks itself.
    Depthwise,
}

/// A layer's problem. Two layers with equal problems take the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// `Conv` or `ConvTranspose`.
    pub op: String,
    /// Batch size.
    pub batch: usize,
    /// Input channels.
    pub cin: usize,
    /// Output channels.
    pub cout: usize,
    /// Convolution groups; equal to `cin` for a depthwise layer.
    pub groups: usize,
    /// Input height and width (or other spatial extents).
    pub space: Vec<usize>,
    /// Kernel extents.
    pub kernel: Vec<usize>,
    /// Integer-list attributes (strides, pads, dilations, output padding), by name.
    pub lists: Vec<(String, Vec<i64>)>,
    /// `auto_pad`, when set.
    pub auto_pad: String,
    /// Whether it adds a bias.
    pub bias: bool,
    /// The activation right behind it that the provider may fuse, with its parameters.
    pub activation: String,
    /// What makes its input.
    pub feed: Feed,
    /// Element type: `f32` or `f16`.
    pub dtype: String,
}

impl Problem {
    /// A key for the database: the problem as canonical JSON.
    pub fn key(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Multiply-accumulates, up to strides (input places instead of output places): a size for budgets.
    pub fn size(&self) -> f64 {
        let places: usize = self.space.iter().product();
        let taps: usize = self.kernel.iter().product();
        (self.batch * places * taps * self.cout * self.cin / self.groups.max(1)) as f64
    }
}
