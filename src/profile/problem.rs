//! A layer as a problem: everything its time depends on but the values of the weights.

use serde::{Deserialize, Serialize};

use super::quantized::Quantized;

use crate::ops::{ConvSpec, Direction};

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
    /// `Conv` or `ConvTranspose`; on integers also `QLinearConv` and `ConvInteger`.
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
    /// Element type of the input: `f32` or `f16`, of quantized layers also `i8`, `u8`, `i16` or `u16`.
    pub dtype: String,
    /// For a layer with quantized weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized: Option<Quantized>,
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
            quantized: None,
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

    /// The layer's geometry; `None` where its attributes do not make one (see [`ConvSpec::of`]).
    pub fn spec(&self) -> Option<ConvSpec> {
        let direction = match self.op.as_str() {
            "ConvTranspose" => Direction::Transposed,
            _ => Direction::Forward,
        };
        let list = |name: &str| self.lists.iter().find(|l| l.0 == name).map(|l| l.1.clone());
        ConvSpec::from_lists(&self.kernel, &list, &self.auto_pad, self.groups.max(1), direction)
    }

    /// Positions of the output: batch times its spatial size. Where the geometry is not known, those of the input, times the
    /// strides of a transposed convolution.
    pub fn out_places(&self) -> usize {
        let output = self.spec().and_then(|s| s.output_shape(&self.space));
        let positions = match output {
            Some(output) => output.iter().map(|&n| n.max(1)).product(),
            None => self.space.iter().map(|&n| n.max(1)).product::<usize>() * self.upsampling(),
        };
        positions * self.batch
    }

    /// Output positions that a transposed convolution makes of one input position.
    fn upsampling(&self) -> usize {
        let strides = self.lists.iter().find(|l| l.0 == "strides");
        match (self.op.as_str(), strides) {
            ("ConvTranspose", Some((_, strides))) => strides
                .iter()
                .map(|&s| usize::try_from(s).unwrap_or(1).max(1))
                .product(),
            _ => 1,
        }
    }

    /// Multiply-accumulates, up to strides (input positions instead of output positions): a size for budgets.
    pub fn size(&self) -> f64 {
        let positions: usize = self.space.iter().product();
        let taps: usize = self.kernel.iter().product();
        (self.batch * positions * taps * self.cout * self.cin / self.groups.max(1)) as f64
    }
}
