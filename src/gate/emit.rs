//! Gates as nodes: the compact form that computes only what is kept, and its twin that computes all and masks.

use std::collections::HashMap;

use super::attend::{channel_choice, channel_mask, tile_choice, tile_mask};
use super::block::{BranchLayer, BranchStep};
use super::builder::Builder;
use super::fused::fusible;
use super::spec::{ChannelGate, Gate, TileGate};
use super::tiles::{gathered, scattered};
use super::window::Tiling;
use crate::onnx::{Dtype, Graph, Tensor};
use crate::{Error, Result};

/// Which form of a gate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateForm {
    /// Computes what is kept.
    Compact,
    /// Computes everything and masks it: as slow as the dense block, and simple enough to be believed.
    Masked,
    /// Computes what is kept, by operators of our own where the gate allows it; compact elsewhere.
    Fused,
}

/// What the nodes of one gate are made with.
pub(super) struct GateEmitter<'a> {
    pub builder: Builder,
    pub graph: &'a Graph<'a>,
    pub gate: &'a Gate,
    pub dtype: Dtype,
    /// Version of ONNX's operators.
    pub opset: i64,
}

/// The nodes and constants that take the place of a gate's block.
///
/// # Errors
/// When a weight cannot be read.
pub fn emitted(graph: &Graph, gate: &Gate, form: GateForm, opset: i64, prefix: &str) -> Result<Builder> {
    let first = gate.block.layers().first().map_or(0, |l| l.node);
    let weight = graph.proto.node[first].input.get(1).and_then(|n| graph.constant(n));
    let mut emitter = GateEmitter {
        builder: Builder::new(prefix),
        graph,
        gate,
        dtype: weight.map_or(Dtype::Float, |w| w.dtype),
        opset,
    };
    match (&gate.tiles, form) {
        (Some(tiles), GateForm::Fused) if gate.channels.is_none() && fusible(graph, &gate.block) => {
            emitter.make_fused(tiles)?
        }
        (_, GateForm::Fused) => emitter.make(GateForm::Compact)?,
        _ => emitter.make(form)?,
    }
    Ok(emitter.builder)
}

impl GateEmitter<'_> {
    fn make(&mut self, form: GateForm) -> Result<()> {
        let gate = self.gate;
        let block = &gate.block;
        let tiles = gate.tiles.as_ref().map(|t| (t, tile_choice(self, t)));
        let inner = tiles.as_ref().filter(|_| form == GateForm::Compact);
        let from = match inner {
            Some((t, chosen)) => gathered(self, t, chosen),
            None => block.input.clone(),
        };
        let within = inner.map(|(t, chosen)| (&t.tiling, chosen.as_str()));
        let branch = self.branch(from, within, form)?;
        let sum = match &tiles {
            None => self.builder.op("Add", &[&branch, &block.other], &[]),
            Some((t, chosen)) => {
                let placed = if form == GateForm::Masked {
                    let mask = tile_mask(self, t, chosen);
                    let kept = self.builder.op("Mul", &[&branch, &mask], &[]);
                    self.builder.op("Add", &[&block.other, &kept], &[])
                } else {
                    scattered(self, t, chosen, &branch)
                };
                self.plus(&placed, &t.fill)
            }
        };
        let last = match block.activation {
            Some(node) => self.cloned(&[node], &sum, None),
            None => sum,
        };
        self.rename(&last, &block.output);
        Ok(())
    }

    /// The branch on whole maps or on tiles.
    fn branch(&mut self, from: String, tiles: Option<(&Tiling, &str)>, form: GateForm) -> Result<String> {
        let gate = self.gate;
        let block = &gate.block;
        let channels = gate.channels.as_ref();
        let consumer = channels.map(|c| c.consumer(block));
        let (mut chosen, mut x) = (None, from);
        for (s, step) in block.steps.iter().enumerate() {
            let layer = match step {
                BranchStep::Pointwise(nodes) => {
                    let between = channels.is_some_and(|c| c.producer < s && consumer.is_some_and(|r| s < r));
                    let kept = chosen.clone().filter(|_| between && form == GateForm::Compact);
                    x = self.cloned(nodes, &x, kept.as_deref());
                    continue;
                }
                BranchStep::Conv(layer) => layer,
            };
            if let Some(c) = channels.filter(|c| c.producer == s) {
                // Scores come from the whole map, so tiles do not change which channels are taken.
                let statistics = if s == 0 { &block.input } else { &x };
                chosen = Some(channel_choice(self, c, statistics, form));
            }
            let kept = chosen.clone().filter(|_| form == GateForm::Compact);
            if let (Some(c), Some(indices), true) = (channels, &chosen, consumer == Some(s)) {
                x = self.without_fill(c, &x, indices, form);
            }
            let overhang = tiles.filter(|(t, _)| s > 0 && t.overhangs(s) && pads_cut_axis(layer, t));
            let inside = overhang.map(|(t, tiles)| self.inside(t, tiles, s));
            if let Some(inside) = &inside {
                x = self.builder.op("Mul", &[&x, inside], &[]);
            }
            let mut parts = self.parts(layer);
            if s + 1 == block.steps.len()
                && let Some(t) = &gate.tiles
            {
                parts.bias = Some(self.less(parts.bias.as_ref(), &t.fill)?);
            }
            let role = match (channels, &kept) {
                (Some(c), Some(indices)) if c.producer == s => Some((0, indices.as_str())),
                (Some(_), Some(indices)) if consumer == Some(s) => Some((1, indices.as_str())),
                _ => None,
            };
            x = self.convolved(layer, &parts, tiles.map(|(t, _)| t), role, &x);
            if let (Some(c), true) = (channels, consumer == Some(s)) {
                x = self.with_constant_part(c, layer, s, &x, tiles, inside.as_deref())?;
            }
        }
        if let (Some(t), Some(BranchStep::Pointwise(_))) = (&gate.tiles, block.steps.last()) {
            let fill: Vec<f32> = t.fill.iter().map(|v| -v).collect();
            x = self.plus(&x, &fill);
        }
        Ok(x)
    }

    /// Hidden channels as deviations from what they are taken to be when they are not computed.
    fn without_fill(&mut self, c: &ChannelGate, x: &str, indices: &str, form: GateForm) -> String {
        let dims = [1, c.fill.len(), 1, 1];
        let all = self.floats(&dims, &c.fill);
        if form == GateForm::Compact {
            let own = self.builder.op("Gather", &[&all, indices], &[("axis", &[1])]);
            return self.builder.op("Sub", &[x, &own], &[]);
        }
        let deviation = self.builder.op("Sub", &[x, &all], &[]);
        let mask = channel_mask(self, c, indices);
        self.builder.op("Mul", &[&deviation, &mask], &[])
    }

    /// Adds what the fill of all hidden channels makes: the reader on a map of ones, with its weights summed over the
    /// fill. Where the map has edges, so has this.
    fn with_constant_part(
        &mut self,
        c: &ChannelGate,
        layer: &BranchLayer,
        step: usize,
        x: &str,
        tiles: Option<(&Tiling, &str)>,
        inside: Option<&str>,
    ) -> Result<String> {
        if c.fill.iter().all(|&v| v == 0.0) {
            return Ok(x.to_owned());
        }
        let weight = self.weight(layer)?;
        let taps = layer.kernel[0] * layer.kernel[1];
        let mut summed = vec![0.0f32; layer.outputs * taps];
        for (o, row) in weight.chunks_exact(layer.inputs * taps).enumerate() {
            for (channel, fill) in row.chunks_exact(taps).zip(&c.fill) {
                for (sum, w) in summed[o * taps..].iter_mut().zip(channel) {
                    *sum += w * fill;
                }
            }
        }
        let kernel = self.floats(&[layer.outputs, 1, layer.kernel[0], layer.kernel[1]], &summed);
        let ones = match inside {
            Some(inside) => inside.to_owned(),
            None => {
                let [h, w] = match tiles {
                    Some((t, _)) => t.windows[step].map(|w| w.size),
                    None => self.gate.block.shape()[step],
                };
                self.floats(&[1, 1, h, w], &vec![1.0; h * w])
            }
        };
        let parts = Parts {
            weight: kernel,
            bias: None,
        };
        let mut single = layer.clone();
        single.inputs = 1;
        let constant = self.convolved(&single, &parts, tiles.map(|(t, _)| t), None, &ones);
        Ok(self.builder.op("Add", &[x, &constant], &[]))
    }

    /// One convolution; `role`: which axis of its weights is cut to which channels.
    fn convolved(
        &mut self,
        layer: &BranchLayer,
        parts: &Parts,
        tiling: Option<&Tiling>,
        role: Option<(usize, &str)>,
        x: &str,
    ) -> String {
        let mut weight = parts.weight.clone();
        let mut bias = parts.bias.as_ref().map(|tensor| self.builder.constant(tensor));
        if let Some((axis, indices)) = role {
            weight = self
                .builder
                .op("Gather", &[&weight, indices], &[("axis", &[axis as i64])]);
            if axis == 0
                && let Some(all) = &bias
            {
                bias = Some(self.builder.op("Gather", &[all, indices], &[("axis", &[0])]));
            }
        }
        let mut inputs = vec![x, &weight];
        inputs.extend(bias.as_deref());
        let cut = |axis: usize| tiling.is_some_and(|t| t.cut(axis));
        let pad = |axis: usize, end: usize| if cut(axis) { 0 } else { layer.pads[axis][end] as i64 };
        let pads = [pad(0, 0), pad(1, 0), pad(0, 1), pad(1, 1)];
        let two = |v: [usize; 2]| v.map(|n| n as i64);
        self.builder.op(
            "Conv",
            &inputs,
            &[
                ("kernel_shape", &two(layer.kernel)),
                ("strides", &two(layer.strides)),
                ("dilations", &two(layer.dilations)),
                ("pads", &pads),
                ("group", &[layer.groups as i64]),
            ],
        )
    }

    /// Nodes of the original on another input, which has the channels `kept` only; the value that the last one makes.
    fn cloned(&mut self, nodes: &[usize], x: &str, kept: Option<&str>) -> String {
        let all = &self.graph.proto.node;
        let mut names: HashMap<&str, String> = HashMap::new();
        let made: Vec<&str> = nodes
            .iter()
            .filter_map(|&n| all[n].output.first())
            .map(String::as_str)
            .collect();
        let mut last = x.to_owned();
        for &index in nodes {
            let mut node = all[index].clone();
            for (i, input) in node.input.iter_mut().enumerate() {
                let own = names.get(all[index].input[i].as_str()).cloned();
                let constant = self.graph.constant(input).filter(|_| i > 0);
                if let Some(own) = own {
                    *input = own;
                } else if let (Some(constant), Some(kept)) = (&constant, kept) {
                    if constant.len() > 1 {
                        *input = self.builder.op("Gather", &[input, kept], &[("axis", &[0])]);
                    }
                } else if !input.is_empty() && constant.is_none() && !made.contains(&input.as_str()) {
                    x.clone_into(input);
                }
            }
            last = self.builder.fresh(all[index].op_type());
            node.name = Some(format!("{last}_node"));
            node.output = vec![last.clone()];
            if let Some(name) = all[index].output.first() {
                names.insert(name, last.clone());
            }
            self.builder.nodes.push(node);
        }
        last
    }

    /// Adds a number to every channel; nothing where all are zero.
    fn plus(&mut self, x: &str, by_channel: &[f32]) -> String {
        if by_channel.iter().all(|&v| v == 0.0) {
            return x.to_owned();
        }
        let fill = self.floats(&[1, by_channel.len(), 1, 1], by_channel);
        self.builder.op("Add", &[x, &fill], &[])
    }

    /// A bias without the fill.
    fn less(&self, bias: Option<&Tensor>, fill: &[f32]) -> Result<Tensor> {
        let unread = || Error::Model("a bias cannot be read as floats".to_owned());
        let mut values = match bias {
            Some(bias) => bias.to_f32().ok_or_else(unread)?,
            None => vec![0.0; fill.len()],
        };
        values.iter_mut().zip(fill).for_each(|(b, f)| *b -= f);
        Ok(Tensor::from_f32(vec![values.len()], &values).cast(self.dtype))
    }

    /// For the chosen tiles, which places of a step's input lie in the map: (samples · tiles) × 1 × rows × columns.
    fn inside(&mut self, tiling: &Tiling, chosen: &str, step: usize) -> String {
        let [rows, columns] = tiling.windows[step].map(|w| w.size);
        let table = self.floats(&[tiling.tiles(), rows, columns], &tiling.inside(step));
        let own = self.builder.op("Gather", &[&table, chosen], &[("axis", &[0])]);
        self.builder.reshape(&own, &[-1, 1, rows as i64, columns as i64])
    }

    fn parts(&self, layer: &BranchLayer) -> Parts {
        let node = &self.graph.proto.node[layer.node];
        let bias = node
            .input
            .get(2)
            .filter(|n| !n.is_empty())
            .and_then(|n| self.graph.constant(n));
        Parts {
            weight: node.input[1].clone(),
            bias,
        }
    }

    fn weight(&self, layer: &BranchLayer) -> Result<Vec<f32>> {
        let name = &self.graph.proto.node[layer.node].input[1];
        let values = layer.weights(self.graph);
        values.ok_or_else(|| Error::tensor(name, "its values cannot be read as floats"))
    }

    /// A constant in the block's float type.
    pub fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let tensor = Tensor::from_f32(dims.to_vec(), values).cast(self.dtype);
        self.builder.constant(&tensor)
    }

    /// Gives the value that the last node makes the name of the block's output.
    fn rename(&mut self, from: &str, to: &str) {
        for node in &mut self.builder.nodes {
            for output in node.output.iter_mut().filter(|o| *o == from) {
                to.clone_into(output);
            }
        }
    }
}

/// A convolution's weights by name, and its bias.
struct Parts {
    weight: String,
    bias: Option<Tensor>,
}

/// Whether a layer has zeros around its input along an axis that is cut into tiles.
fn pads_cut_axis(layer: &BranchLayer, tiling: &Tiling) -> bool {
    (0..2).any(|a| tiling.cut(a) && layer.pads[a].iter().any(|&p| p > 0))
}

impl GateEmitter<'_> {
    /// Samples in a run where the file fixes them.
    pub fn batch(&self) -> Option<usize> {
        self.gate.block.batch
    }

    /// The value of the attribute that names a float type in `Cast`.
    pub fn float_type(&self) -> i64 {
        self.dtype as i64
    }

    /// The mean of a tile's magnitudes by channel, or the whole map's.
    pub fn magnitudes(&mut self, x: &str, tile: &TileGate) -> String {
        let x = if self.gate.block.positive {
            x.to_owned()
        } else {
            self.builder.op("Abs", &[x], &[])
        };
        let [_, height, width] = self.gate.block.input_dims;
        let sides = [
            (height / tile.tiling.counts[0]) as i64,
            (width / tile.tiling.counts[1]) as i64,
        ];
        self.builder
            .op("AveragePool", &[&x], &[("kernel_shape", &sides), ("strides", &sides)])
    }
}
