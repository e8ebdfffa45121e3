//! How operators change what is guessed of values. An operator without a rule makes something unknown.

use std::collections::HashMap;

use super::constants::{by_channel, constant};
use super::pointwise::{binary, unary};
use super::value::{ChannelMoments, Guess, PLACES, place, pooled};
use crate::channels::DependencyGraph;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};
use crate::score::LinearOp;

/// What is known so far.
pub(super) struct Rules<'g> {
    pub graph: &'g Graph<'g>,
    pub co: &'g DependencyGraph,
    pub known: HashMap<String, ChannelMoments>,
}

/// All channels of a value rise and fall together by this share of their means: inputs differ in contrast, and guessed
/// means are wrong in the same direction.
const TOGETHER: f64 = 0.3;

/// What the outputs of a node are; `None` for those of which nothing is known.
type Made = Option<Vec<Option<ChannelMoments>>>;

impl Rules<'_> {
    /// A layer's output: a weighted sum of channels at independent places, which vary each by itself and a little together.
    pub fn mixed(&self, linear_op: &LinearOp) -> Option<ChannelMoments> {
        let rank = self.dims(&linear_op.input).len();
        let input = self.known.get(&linear_op.input)?;
        let input = super::on_axis(
            &(input.axis, input.moments()?),
            linear_op.channel_axis(rank),
            linear_op.groups * linear_op.inputs,
        )?;
        let (weights, bias) = (linear_op.weights(self.graph)?, linear_op.bias(self.graph));
        let one = |o: usize| {
            let from = o / linear_op.group_outputs() * linear_op.inputs;
            let row = &weights[o * linear_op.columns()..(o + 1) * linear_op.columns()];
            let (mut mean, mut variance) = (f64::from(bias[o]), 0.0);
            for (taps, guess) in row.chunks_exact(linear_op.taps).zip(&input[from..]) {
                mean += taps.iter().map(|&w| f64::from(w)).sum::<f64>() * guess.0;
                variance += taps.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() * guess.1;
            }
            let together = TOGETHER * (mean - f64::from(bias[o]));
            (mean, variance + together * together)
        };
        let made: Vec<Guess> = (0..linear_op.outputs).map(one).collect();
        Some(ChannelMoments::normal(
            linear_op.channel_axis(self.dims(&linear_op.output).len()),
            &made,
        ))
    }

    /// The outputs of any other node.
    pub fn followed(&self, node: &NodeProto) -> Made {
        if !matches!(node.domain(), "" | "ai.onnx" | "com.microsoft") {
            return None;
        }
        let one = |v: Option<ChannelMoments>| Some(vec![v]);
        let op = node.op_type();
        if let Some(f) = unary(node) {
            return one(Some(self.input(node, 0)?.map(&*f)));
        }
        if let Some(f) = binary(op) {
            let share = 1.0 / node.input.len().max(1) as f64;
            return one(match op {
                "Mean" => self.combined(node, f).map(|sum| sum.map(&|x| share * x)),
                _ => self.combined(node, f),
            });
        }
        match op {
            "Clip" => one(self.clipped(node)),
            "Identity" | "Dropout" | "Cast" | "Resize" | "Upsample" | "Pad" | "DepthToSpace" | "SpaceToDepth"
            | "QuantizeLinear" | "DequantizeLinear"
                if self.same_channels(node) =>
            {
                one(self.input(node, 0).cloned())
            }
            "BatchNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LayerNormalization"
            | "SimplifiedLayerNormalization"
            | "RMSNormalization"
            | "MeanVarianceNormalization" => one(self.normalized(node)),
            "LRN" => one(self.responded(node)),
            "Softmax" => one(self.shares(node)),
            "AveragePool" | "GlobalAveragePool" | "MaxPool" | "GlobalMaxPool" => one(self.pooled(node)),
            "ReduceMean" | "ReduceMax" | "ReduceSum" => one(self.reduced(node)),
            "Concat" => one(self.joined(node)),
            "Split" => self.split(node),
            "Slice" => one(self.sliced(node)),
            "Transpose" => one(self.transposed(node)),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => one(self.reshaped(node)),
            _ => None,
        }
    }

    fn dims(&self, name: &str) -> &[usize] {
        self.co.by_name(name).map_or(&[][..], |id| self.co.dims(id))
    }

    fn input(&self, node: &NodeProto, at: usize) -> Option<&ChannelMoments> {
        self.known.get(node.input.get(at)?)
    }

    fn output_dims(&self, node: &NodeProto) -> &[usize] {
        node.output.first().map_or(&[][..], |n| self.dims(n))
    }

    fn same_channels(&self, node: &NodeProto) -> bool {
        let Some(x) = self.input(node, 0) else { return false };
        self.output_dims(node).get(x.axis) == Some(&x.channels())
    }

    fn constant(&self, name: &str) -> Option<(Vec<f32>, Vec<usize>)> {
        constant(self.graph, self.co, name)
    }

    /// An operator with two or more inputs, of which the others are taken one after the other.
    fn combined(&self, node: &NodeProto, f: fn(f64, f64) -> f64) -> Option<ChannelMoments> {
        let mut sum: Option<ChannelMoments> = None;
        let rank = self.output_dims(node).len();
        let first = node.input.first()?;
        let rest = node.input.get(1..)?;
        if rest.is_empty() {
            return self.input(node, 0).cloned();
        }
        for name in rest {
            let found = match (
                sum.take().or_else(|| self.aligned(node, first)),
                self.aligned(node, name),
            ) {
                (Some(a), Some(b)) => match a.zip(&b, &f) {
                    Some(both) => both,
                    None => independent(node.op_type(), &a, &b, f)?,
                },
                (Some(a), None) => self.with_constant(&a, name, rank, &f)?,
                (None, Some(b)) => self.with_constant(&b, first, rank, &|x, k| f(k, x))?,
                (None, None) => return None,
            };
            sum = Some(found);
        }
        sum
    }

    /// A value's channels on the axis and in the number that they have in the output of `node`.
    fn aligned(&self, node: &NodeProto, name: &str) -> Option<ChannelMoments> {
        let (out, own) = (self.output_dims(node), self.dims(name));
        let value = self.known.get(name)?;
        let axis = value.axis + out.len().checked_sub(own.len())?;
        let wide = *out.get(axis)?;
        match value.channels() {
            n if n == wide => Some(value.clone().on_axis(axis)),
            1 => Some(value.picked(std::iter::repeat_n(0, wide))?.on_axis(axis)),
            _ => None,
        }
    }

    fn with_constant(
        &self,
        x: &ChannelMoments,
        name: &str,
        rank: usize,
        f: &dyn Fn(f64, f64) -> f64,
    ) -> Option<ChannelMoments> {
        let numbers = by_channel(&self.constant(name)?, rank, x.axis, x.channels())?;
        let means: Vec<f64> = numbers.iter().map(|n| n.0).collect();
        if numbers.iter().all(|n| n.1 == 0.0) {
            return Some(x.map_with(&means, f));
        }
        // Numbers that differ from place to place: two of them for each channel, a deviation to either side.
        let side = |by: f64| {
            let shifted: Vec<f64> = numbers.iter().map(|n| n.0 + by * n.1.sqrt()).collect();
            x.map_with(&shifted, f).moments()
        };
        let mixed = side(-1.0)?.into_iter().zip(side(1.0)?).map(|(a, b)| {
            let mean = 0.5 * (a.0 + b.0);
            (mean, 0.5 * (a.1 + b.1) + 0.25 * (a.0 - b.0).powi(2))
        });
        Some(ChannelMoments::normal(x.axis, &mixed.collect::<Vec<_>>()))
    }

    fn clipped(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let bound = |attribute: &str, at: usize, none: f64| -> Option<f64> {
            if let Some(v) = node.attr(attribute).and_then(|a| a.f) {
                return Some(f64::from(v));
            }
            match node.input.get(at).filter(|n| !n.is_empty()) {
                None => Some(none),
                Some(name) => self.constant(name)?.0.first().map(|&v| f64::from(v)),
            }
        };
        let (low, high) = (bound("min", 1, f64::MIN)?, bound("max", 2, f64::MAX)?);
        Some(self.input(node, 0)?.map(&|x| x.max(low).min(high)))
    }

    /// Mean and deviation are those of the shift and the scale, whatever comes in.
    fn normalized(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let out = self.output_dims(node);
        let by_index = |axis: usize, at: usize, default: f64| -> Option<Vec<f64>> {
            let channels = *out.get(axis)?;
            let Some(name) = node.input.get(at).filter(|n| !n.is_empty()) else {
                return Some(vec![default; channels]);
            };
            let (values, dims) = self.constant(name)?;
            if axis == 1 && dims.len() == 1 && values.len() <= channels && channels.is_multiple_of(values.len().max(1))
            {
                // One number a channel, or a group of channels.
                let each = channels / values.len().max(1);
                let one = |c: usize| values.get(c / each).copied().map(f64::from);
                return (0..channels).map(one).collect();
            }
            let found = by_channel(&(values, dims), out.len(), axis, channels)?;
            Some(found.iter().map(|g| g.0).collect())
        };
        let axis = match node.op_type() {
            "LayerNormalization" | "SimplifiedLayerNormalization" | "RMSNormalization" => {
                self.input(node, 0).map_or(out.len().checked_sub(1)?, |x| x.axis)
            }
            _ => 1,
        };
        let (scale, shift) = match node.op_type() {
            "MeanVarianceNormalization" => (by_index(axis, usize::MAX, 1.0)?, by_index(axis, usize::MAX, 0.0)?),
            _ => (by_index(axis, 1, 1.0)?, by_index(axis, 2, 0.0)?),
        };
        let made: Vec<Guess> = scale.iter().zip(&shift).map(|(s, b)| (*b, s * s)).collect();
        Some(ChannelMoments::normal(axis, &made))
    }

    /// A local response normalization, by the mean square of all channels.
    fn responded(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let x = self.input(node, 0)?;
        let (mean, variance) = x.pooled()?;
        let float = |name: &str, default: f32| f64::from(node.float(name, default));
        let square = float("bias", 1.0) + float("alpha", 1e-4) * (mean * mean + variance);
        let by = square.powf(-float("beta", 0.75));
        Some(x.map(&|v| v * by))
    }

    /// Shares that sum to one.
    fn shares(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let x = self.input(node, 0)?;
        let dims = self.output_dims(node);
        let axis = along(node.int("axis", -1), dims.len())?;
        let mean = 1.0 / dims[axis].max(1) as f64;
        Some(ChannelMoments::normal(x.axis, &vec![(mean, mean * mean); x.channels()]))
    }

    /// Averages vary less, and maxima lie higher, the more places there are. Neighbouring places are alike: so many count as
    /// the root of their number.
    fn pooled(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let x = self.input(node, 0).filter(|x| x.axis == 1)?;
        let places: f64 = match node.ints("kernel_shape") {
            Some(kernel) if !node.op_type().starts_with("Global") => kernel.iter().map(|&k| k.max(1) as f64).product(),
            _ => {
                let dims = self.dims(node.input.first()?);
                dims.iter().skip(2).map(|&d| d as f64).product()
            }
        };
        over_places(x, node.op_type().contains("Max"), places.max(1.0).sqrt())
    }

    fn reduced(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let x = self.input(node, 0)?;
        let dims = self.dims(node.input.first()?).to_vec();
        let axes: Vec<i64> = match (node.ints("axes"), node.input.get(1).filter(|n| !n.is_empty())) {
            (Some(axes), _) => axes.to_vec(),
            (None, Some(name)) => self.graph.constant(name)?.to_i64()?,
            (None, None) => return None,
        };
        let mut axes: Vec<usize> = axes.iter().map(|&a| along(a, dims.len())).collect::<Option<_>>()?;
        // An axis may be named twice, from the front and from the back.
        axes.sort_unstable();
        axes.dedup();
        if axes.contains(&x.axis) {
            return None;
        }
        let places: f64 = axes.iter().map(|&a| dims[a] as f64).product();
        let made = over_places(x, node.op_type() == "ReduceMax", places.max(1.0).sqrt())?;
        let made = match node.op_type() {
            "ReduceSum" => made.map(&|v| v * places),
            _ => made,
        };
        let axis = match node.int("keepdims", 1) {
            0 => x.axis - axes.iter().filter(|&&a| a < x.axis).count(),
            _ => x.axis,
        };
        Some(made.on_axis(axis))
    }

    /// Parts side by side: along the channels each keeps its own, along another axis they are mixed.
    fn joined(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let rank = self.output_dims(node).len();
        let axis = along(node.int("axis", 0), rank)?;
        let parts: Vec<ChannelMoments> = node
            .input
            .iter()
            .map(|n| self.known.get(n).cloned())
            .collect::<Option<_>>()?;
        let first = parts.first()?;
        if parts.iter().any(|p| p.axis != first.axis) {
            return None;
        }
        if axis == first.axis {
            return ChannelMoments::joined(&parts);
        }
        let all: Vec<Vec<Guess>> = parts.iter().map(ChannelMoments::moments).collect::<Option<_>>()?;
        let channel = |c: usize| -> Option<Guess> {
            let own: Vec<Guess> = all.iter().map(|p| p.get(c).copied()).collect::<Option<_>>()?;
            Some(pooled(&own))
        };
        let mixed: Vec<Guess> = (0..first.channels()).map(channel).collect::<Option<_>>()?;
        Some(ChannelMoments::normal(first.axis, &mixed))
    }

    fn split(&self, node: &NodeProto) -> Made {
        let x = self.input(node, 0)?;
        let axis = along(node.int("axis", 0), self.dims(node.input.first()?).len())?;
        let mut from = 0;
        let mut parts = Vec::new();
        for name in &node.output {
            if axis != x.axis {
                parts.push(Some(x.clone()));
                continue;
            }
            let wide = *self.dims(name).get(axis)?;
            parts.push(x.picked(from..from + wide));
            from += wide;
        }
        Some(parts)
    }

    fn sliced(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let x = self.input(node, 0)?;
        let dims = self.dims(node.input.first()?);
        let list = |attribute: &str, at: usize| -> Option<Vec<i64>> {
            match (node.ints(attribute), node.input.get(at).filter(|n| !n.is_empty())) {
                (Some(v), _) => Some(v.to_vec()),
                (None, Some(name)) => self.graph.constant(name)?.to_i64(),
                (None, None) => Some(Vec::new()),
            }
        };
        let (starts, axes, steps) = (list("starts", 1)?, list("axes", 3)?, list("steps", 4)?);
        let axis_of = |k: usize| axes.get(k).map_or(Some(k), |&a| along(a, dims.len()));
        let Some(k) = (0..starts.len()).find(|&k| axis_of(k) == Some(x.axis)) else {
            return Some(x.clone());
        };
        let wide = *self.output_dims(node).get(x.axis)?;
        let step = steps.get(k).copied().unwrap_or(1);
        let dim = x.channels() as i64;
        let start = if starts[k] < 0 { starts[k] + dim } else { starts[k] };
        let start = match step {
            1.. => start.clamp(0, dim),
            _ if dim == 0 => return None,
            _ => start.clamp(0, dim - 1),
        };
        let at = |i: usize| usize::try_from(start + i as i64 * step).ok();
        let picked: Vec<usize> = (0..wide).map(at).collect::<Option<_>>()?;
        x.picked(picked.into_iter())
    }

    fn transposed(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let x = self.input(node, 0)?;
        let rank = self.output_dims(node).len();
        let axis = match node.ints("perm") {
            Some(perm) => perm.iter().position(|&p| p == x.axis as i64)?,
            None => rank.checked_sub(1 + x.axis)?,
        };
        Some(x.clone().on_axis(axis))
    }

    /// A view with other axes: the channels are followed where they stay an axis or come to lie with what lies behind
    /// them. Where they are split up or mixed, all channels there count alike.
    fn reshaped(&self, node: &NodeProto) -> Option<ChannelMoments> {
        let x = self.input(node, 0)?;
        let (before, after) = (self.dims(node.input.first()?), self.output_dims(node));
        let product = |d: &[usize]| d.iter().product::<usize>();
        let (ahead, behind) = (product(&before[..x.axis]), product(before.get(x.axis + 1..)?));
        let starts = |a: &usize| product(&after[..*a]) == ahead;
        // An axis with as many indices, else one that swallowed what was behind.
        let whole = |a: &usize| after[*a] == x.channels() && product(&after[a + 1..]) == behind;
        if let Some(axis) = (0..after.len()).filter(starts).find(whole) {
            return Some(x.clone().on_axis(axis));
        }
        let swallowed = |a: &usize| after[*a].is_multiple_of(x.channels().max(1)) && after[*a] > x.channels();
        let rest = |a: &usize| product(&after[a + 1..]) * after[*a] == x.channels() * behind;
        if let Some(axis) = (0..after.len()).filter(starts).filter(rest).find(swallowed) {
            let each = after[axis] / x.channels().max(1);
            return Some(x.picked((0..after[axis]).map(|i| i / each))?.on_axis(axis));
        }
        let axis = 1.min(after.len().checked_sub(1)?);
        Some(ChannelMoments::normal(axis, &vec![x.pooled()?; after[axis]]))
    }
}

fn along(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|&a| a < rank)
}

/// The mean of so many independent places, or the greatest of them.
fn over_places(x: &ChannelMoments, greatest: bool, places: f64) -> Option<ChannelMoments> {
    let pooled = |&(mean, variance): &Guess| {
        if !greatest {
            return (mean, variance / places);
        }
        // The greatest of n normal variables: density n φ(z) Φ(z)ⁿ⁻¹.
        let (mut below, mut whole, mut first, mut second) = (0.0, 0.0, 0.0, 0.0);
        for at in 0..PLACES {
            let (z, share) = place(at);
            let weight = places * share * f64::powf(below + 0.5 * share, places - 1.0);
            below += share;
            (whole, first, second) = (whole + weight, first + weight * z, second + weight * z * z);
        }
        let (first, second) = (first / whole, second / whole);
        (
            mean + variance.sqrt() * first,
            variance * (second - first * first).max(0.0),
        )
    };
    let made: Vec<Guess> = x.moments()?.iter().map(pooled).collect();
    Some(ChannelMoments::normal(x.axis, &made))
}

/// A function of two values that do not hang together.
fn independent(op: &str, a: &ChannelMoments, b: &ChannelMoments, f: fn(f64, f64) -> f64) -> Option<ChannelMoments> {
    if a.axis != b.axis || a.channels() != b.channels() {
        return None;
    }
    let combined = |(x, y): (&Guess, &Guess)| -> Option<Guess> {
        match op {
            "Add" | "Sum" | "Mean" => Some((x.0 + y.0, x.1 + y.1)),
            "Sub" => Some((x.0 - y.0, x.1 + y.1)),
            "Mul" => Some((x.0 * y.0, x.1 * y.1 + x.1 * y.0 * y.0 + y.1 * x.0 * x.0)),
            // Only where the divisor keeps away from zero.
            "Div" if y.1 < 0.1 * y.0 * y.0 => {
                let mean = x.0 / y.0;
                Some((mean, (x.1 + mean * mean * y.1) / (y.0 * y.0)))
            }
            "Max" | "Min" | "PRelu" => Some(both(*x, *y, f)),
            _ => None,
        }
    };
    let (xs, ys) = (a.moments()?, b.moments()?);
    let made: Vec<Guess> = xs.iter().zip(&ys).map(combined).collect::<Option<_>>()?;
    Some(ChannelMoments::normal(a.axis, &made))
}

/// Moments of a function of two independent normal variables, every fourth place of each.
fn both(x: Guess, y: Guess, f: fn(f64, f64) -> f64) -> Guess {
    let (mut whole, mut first, mut second) = (0.0, 0.0, 0.0);
    for i in (0..PLACES).step_by(4) {
        for j in (0..PLACES).step_by(4) {
            let ((u, p), (v, q)) = (place(i), place(j));
            let value = f(x.0 + x.1.sqrt() * u, y.0 + y.1.sqrt() * v);
            let weight = p * q;
            (whole, first, second) = (whole + weight, first + weight * value, second + weight * value * value);
        }
    }
    let mean = first / whole;
    (mean, (second / whole - mean * mean).max(0.0))
}
