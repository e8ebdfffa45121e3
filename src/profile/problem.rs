//! A layer as a problem: everything its time depends on but the values of the weights.

use serde::{Deserialize, Serialize};

/// What makes a layer's input, as far as its memory layout depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProducerLayout {
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
    #[serde(rename = "feed")]
    pub producer_layout: ProducerLayout,
    /// Element type: `f32` or `f16`.
    pub dtype: String,
}

impl Problem {
    /// A key for the database: the problem as canonical JSON.
    pub fn key(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same problem at other widths; a depthwise layer stays one.
    pub fn at(&self, cin: usize, cout: usize) -> Self {
        let mut problem = self.clone();
        if self.is_depthwise() {
            problem.groups = cin;
        }
        (problem.cin, problem.cout) = (cin, cout);
        problem
    }

    /// A plain 3×3 convolution of float32 on a square, one image at a time.
    pub fn plain(cin: usize, cout: usize, side: usize) -> Self {
        Self {
            op: "Conv".to_owned(),
            batch: 1,
            cin,
            cout,
            groups: 1,
            space: vec![side, side],
            kernel: vec![3, 3],
            lists: vec![],
            auto_pad: String::new(),
            bias: true,
            activation: String::new(),
            producer_layout: ProducerLayout::Plain,
            dtype: "f32".to_owned(),
        }
    }

    /// The same problem at an output width; a depthwise layer's input follows.
    pub fn with_output(&self, width: usize) -> Self {
        let unit = if self.is_depthwise() { self.cout / self.cin } else { 0 };
        self.at(width.checked_div(unit).unwrap_or(self.cin), width)
    }

    /// Output widths: multiples of `step` around the present one, from its `reach`-th part to `reach` times it, that the
    /// layer's groups allow. The present width is always among them.
    pub fn widths(&self, step: usize, reach: f64) -> Vec<usize> {
        let (step, reach) = (step.max(1), reach.max(1.0));
        let most = (self.cout as f64 * reach).ceil() as usize;
        let least = ((self.cout as f64 / reach).floor() as usize).max(1);
        let unit = if self.is_depthwise() {
            self.cout / self.cin
        } else {
            self.groups
        };
        let fits = |w: &usize| *w == self.cout || (w.is_multiple_of(step) && w.is_multiple_of(unit));
        (least..=most).filter(fits).collect()
    }

    /// Whether every input channel is a group of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.cin
    }

    fn list(&self, name: &str, axis: usize, default: i64) -> i64 {
        let found = self.lists.iter().find(|(n, _)| n == name);
        found.and_then(|(_, v)| v.get(axis)).copied().unwrap_or(default)
    }

    /// Places of the output: batch times its spatial extents.
    pub fn out_places(&self) -> usize {
        let rank = self.space.len();
        let dim = |i: usize| -> i64 {
            let (size, kernel) = (self.space[i] as i64, self.kernel.get(i).map_or(1, |&k| k as i64));
            let (stride, dilation) = (self.list("strides", i, 1).max(1), self.list("dilations", i, 1));
            let span = dilation.saturating_mul(kernel - 1) + 1;
            let pads = self.list("pads", i, 0).saturating_add(self.list("pads", i + rank, 0));
            match (self.op.as_str(), self.auto_pad.as_str()) {
                ("ConvTranspose", _) => (size - 1).saturating_mul(stride) + span - pads,
                (_, "SAME_UPPER" | "SAME_LOWER") => (size + stride - 1) / stride,
                _ => (size.saturating_add(pads) - span) / stride + 1,
            }
        };
        (0..rank).map(|i| dim(i).max(1) as usize).product::<usize>() * self.batch
    }

    /// Multiply-accumulates, up to strides (input places instead of output places): a size for budgets.
    pub fn size(&self) -> f64 {
        let places: usize = self.space.iter().product();
        let taps: usize = self.kernel.iter().product();
        (self.batch * places * taps * self.cout * self.cin / self.groups.max(1)) as f64
    }
}
