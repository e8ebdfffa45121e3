//! New weights of a layer that reads them through `DequantizeLinear`: quantized again, in the range of integers and with the zero
//! points that it had.

use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, Tensor};
use crate::ops::{Dequantized, Granularity, LinearOp, integer_limits, with_integers};

/// An initializer that takes the place of an input of a node.
pub(super) struct Placed {
    pub node: usize,
    pub input: usize,
    pub tensor: Tensor,
}

/// Integers with scales.
struct Codes {
    integers: Vec<i64>,
    scales: Vec<f32>,
}

/// What is to be stored for weights (in the order of the file) and a bias; `None` where the integers cannot hold them.
pub(super) fn requantized(
    graph: &Graph,
    at: usize,
    linear_op: &LinearOp,
    weights: &[f32],
    bias: Option<&[f32]>,
) -> Option<Vec<Placed>> {
    let node = graph.proto.node.get(at)?;
    let from = Dequantized::of(graph, node.input.get(1)?)?;
    let (stored, before) = (from.stored(graph)?, from.scales(graph)?);
    let granularity = from.granularity(graph)?;
    let zeros = from.zeros(graph)?;
    let codes = coded(&stored, granularity, (&before.to_f32()?, &zeros), weights)?;
    let place = |node, input, tensor| Placed { node, input, tensor };
    let scales = Tensor::from_f32(before.dims.clone(), &codes.scales).cast(before.dtype);
    let mut all = vec![
        place(
            from.node,
            0,
            with_integers(&stored, stored.dims.clone(), &codes.integers),
        ),
        place(from.node, 1, scales),
    ];
    let Some(bias) = bias.filter(|_| linear_op.takes_bias) else {
        return Some(all);
    };
    let name = node.input.get(2)?;
    let Some(bias_from) = Dequantized::of(graph, name) else {
        // A bias of floats stays one.
        let old = graph.stored(name)?;
        all.push(place(at, 2, Tensor::from_f32(vec![bias.len()], bias).cast(old.dtype)));
        return Some(all);
    };
    // The scale of a sum of products: that of the input, which stays, times that of the weights.
    let (old, old_scales) = (bias_from.stored(graph)?, bias_from.scales(graph)?);
    let was = old_scales.to_f32()?;
    let each: Vec<f32> = before.to_f32()?;
    let input = was.first()? / each.first()?;
    let scales: Vec<f32> = match was.len() == codes.scales.len() {
        true => codes.scales.iter().map(|s| s * input).collect(),
        false => return None,
    };
    let integer = |(at, &b): (usize, &f32)| {
        let scale = scales.get(if scales.len() == 1 { 0 } else { at })?;
        let integer = (f64::from(b) / f64::from(*scale)).round_ties_even();
        (integer.abs() < f64::from(i32::MAX)).then_some(integer as i64)
    };
    let integers: Option<Vec<i64>> = bias.iter().enumerate().map(integer).collect();
    all.push(place(
        bias_from.node,
        0,
        with_integers(&old, vec![bias.len()], &integers?),
    ));
    let scales = Tensor::from_f32(old_scales.dims.clone(), &scales).cast(old_scales.dtype);
    all.push(place(bias_from.node, 1, scales));
    Some(all)
}

/// Weights as integers. A scale stays where the weights are still its multiples; else it is the least that reaches them with the
/// integers that were used before.
fn coded(stored: &Tensor, granularity: Granularity, old: (&[f32], &[i64]), weights: &[f32]) -> Option<Codes> {
    let (scales, zeros) = old;
    let integers = stored.to_i64()?;
    if weights.len() != integers.len() || weights.iter().any(|w| !w.is_finite()) {
        return None;
    }
    let of = |at: usize| granularity.parameter(at, &stored.dims);
    let (least, most) = integer_limits(stored.dtype)?;
    // How far the integers went from their zero points, of all channels: a quantizer may leave a part of the type unused.
    let used = integers
        .iter()
        .enumerate()
        .map(|(at, q)| (q - zeros[of(at)]).abs())
        .max()?;
    let mut reach: Vec<(f32, f32, bool)> = vec![(0.0, 0.0, true); scales.len()];
    for (at, &w) in weights.iter().enumerate() {
        let k = of(at);
        let (low, high, exact) = &mut reach[k];
        (*low, *high) = (low.min(w), high.max(w));
        let steps = w / scales[k];
        let fits = steps.abs() <= used as f32 + 0.5;
        *exact &= fits && (steps - steps.round_ties_even()).abs() < 1e-3;
    }
    let scale = |(k, &(low, high, exact)): (usize, &(f32, f32, bool))| {
        if exact {
            return Some(scales[k]);
        }
        let (up, down) = (used.min(most - zeros[k]) as f32, used.min(zeros[k] - least) as f32);
        let side = |far: f32, steps: f32| match (far > 0.0, steps > 0.0) {
            (false, _) => Some(0.0),
            (true, true) => Some(far / steps),
            (true, false) => None,
        };
        let scale = side(high, up)?.max(side(-low, down)?);
        Some(if scale > 0.0 { scale } else { scales[k] })
    };
    let scales: Option<Vec<f32>> = reach.iter().enumerate().map(scale).collect();
    let scales = scales?;
    let integer = |(at, &w): (usize, &f32)| {
        let k = of(at);
        ((w / scales[k]).round_ties_even() as i64 + zeros[k]).clamp(least, most)
    };
    Some(Codes {
        integers: weights.iter().enumerate().map(integer).collect(),
        scales,
    })
}

/// Puts initializers in place; one that something else reads too stays as it is there.
pub(super) fn place(model: &mut ModelProto, all: Vec<Placed>) {
    let Some(graph) = model.graph.as_mut() else { return };
    for Placed { node, input, tensor } in all {
        let name = graph.node[node].input[input].clone();
        let readers = graph.node.iter().flat_map(|n| &n.input).filter(|n| **n == name).count();
        let given_out = graph.output.iter().any(|o| o.name() == name);
        let own = graph.initializer.iter_mut().find(|t| t.name() == name);
        if let Some(own) = own.filter(|_| readers == 1 && !given_out) {
            tensor.store(own);
            continue;
        }
        let taken = |n: &String| {
            graph.initializer.iter().any(|t| t.name() == n) || graph.node.iter().any(|m| m.output.contains(n))
        };
        let new = (1..)
            .map(|k| format!("{name}.refit{k}"))
            .find(|n| !taken(n))
            .unwrap_or_default();
        graph.initializer.push(tensor.to_proto(&new));
        graph.node[node].input[input] = new;
    }
}

#[cfg(test)]
mod tests {
    use super::{Granularity, coded};
    use crate::onnx::{Dtype, Tensor};

    fn stored(dtype: Dtype, values: &[i8]) -> Tensor {
        Tensor {
            dims: vec![2, values.len() / 2],
            dtype,
            bytes: values.iter().map(|&v| v as u8).collect(),
        }
    }

    #[test]
    fn weights_that_are_multiples_keep_their_scale_and_others_get_the_least_that_reaches() {
        let old = stored(Dtype::Int8, &[63, -20, 5, 40, 10, -63]);
        let (scales, zeros) = ([0.5, 0.25], [0, 0]);
        let channel = Granularity::Channel(0);
        let codes = coded(&old, channel, (&scales, &zeros), &[31.5, -10.0, 0.0, 12.6, 2.0, -1.0]).unwrap();
        assert_eq!(codes.scales[0], 0.5);
        assert!(
            (codes.scales[1] - 0.2).abs() < 1e-6,
            "12.6 in the 63 steps that were used"
        );
        assert_eq!(codes.integers, [63, -20, 0, 63, 10, -5]);
        assert!(coded(&old, channel, (&scales, &zeros), &[f32::NAN; 6]).is_none());
    }

    #[test]
    fn zero_points_stay_and_zero_is_exact() {
        let old = stored(Dtype::Uint8, &[10, 20, 5, 30, 10, 0]);
        let codes = coded(
            &old,
            Granularity::Tensor,
            (&[0.1], &[10]),
            &[0.0, 2.2, -1.1, 0.0, 0.3, 0.0],
        )
        .unwrap();
        assert_eq!(codes.integers[0], 10);
        assert_eq!(codes.integers[1] - 10, 20, "20 steps were used at most");
        // Nothing below the zero point is there to hold what is negative.
        assert!(coded(&old, Granularity::Tensor, (&[0.1], &[0]), &[-1.05; 6]).is_none());
    }
}
