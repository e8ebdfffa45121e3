//! Weights that are stored as integers: floats are trained, and the model computes with what their integers give (a straight-through
//! estimator: Bengio et al., 2013; Jacob et al., 2018).

use crate::onnx::{Dtype, Graph, Tensor};
use crate::ops::{Dequantized, integer_limits, with_integers};

/// Integers with the scales and zero points that they keep.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// The initializer of the integers.
    pub initializer: String,
    integers: Tensor,
    /// The scale and the zero point of each element.
    steps: Vec<(f32, i64)>,
    /// The least and the most that the type holds.
    limits: (i64, i64),
    /// How far integers go from their zero points: a quantizer may leave a part of the type unused.
    reach: i64,
}

impl Codes {
    /// Of what a `DequantizeLinear` makes for one layer of an initializer that nothing else reads, with the floats that it makes.
    pub fn of(graph: &Graph, name: &str) -> Option<(Self, Tensor)> {
        let from = Dequantized::of(graph, name)?;
        let initializer = graph.proto.node.get(from.node)?.input.first()?;
        let own = graph.consumers.get(initializer.as_str())?.len() == 1
            && graph.initializers.contains_key(initializer.as_str());
        if !own || graph.replaceable.contains(initializer.as_str()) || graph.is_seen_outside(initializer) {
            return None;
        }
        let (integers, granularity) = (from.stored(graph)?, from.granularity(graph)?);
        let scales = from.scales(graph).filter(|s| s.dtype == Dtype::Float)?.to_f32()?;
        let zeros = from.zeros(graph)?;
        let limits = integer_limits(integers.dtype)?;
        let (mut steps, mut reach) = (Vec::with_capacity(integers.len()), 0);
        for (at, q) in integers.to_i64()?.into_iter().enumerate() {
            let k = granularity.parameter(at, &integers.dims);
            let (&scale, &zero) = (scales.get(k)?, zeros.get(k)?);
            reach = reach.max((q - zero).abs());
            steps.push((scale, zero));
        }
        if integers.dtype == Dtype::Int32 {
            reach = limits.1;
        }
        let codes = Self {
            initializer: initializer.clone(),
            integers,
            steps,
            limits,
            reach,
        };
        Some((codes, from.values(graph)?))
    }

    /// The least and the most integer at a zero point.
    fn range(&self, zero: i64) -> (i64, i64) {
        (
            self.limits.0.max(zero - self.reach),
            self.limits.1.min(zero + self.reach),
        )
    }

    fn nearest<'w>(&'w self, weights: &'w [f32]) -> impl Iterator<Item = (i64, f32, i64)> + 'w {
        weights.iter().zip(&self.steps).map(|(w, &(scale, zero))| {
            let (least, most) = self.range(zero);
            // A scale of zero makes zeros of all integers.
            let steps = if scale == 0.0 {
                0.0
            } else {
                f64::from(*w) / f64::from(scale)
            };
            let integer = (steps.round_ties_even() as i64).saturating_add(zero);
            (integer.clamp(least, most.max(least)), scale, zero)
        })
    }

    /// What the model computes with.
    pub fn rounded(&self, weights: &[f32]) -> Vec<f32> {
        self.nearest(weights)
            .map(|(q, scale, zero)| (q - zero) as f32 * scale)
            .collect()
    }

    /// The integers, as they are stored.
    pub fn stored(&self, weights: &[f32]) -> Tensor {
        let integers: Vec<i64> = self.nearest(weights).map(|(q, _, _)| q).collect();
        with_integers(&self.integers, self.integers.dims.clone(), &integers)
    }

    /// Takes weights back to the last that their integers reach.
    pub fn hold(&self, weights: &mut [f32]) {
        for (w, &(scale, zero)) in weights.iter_mut().zip(&self.steps) {
            let (least, most) = self.range(zero);
            let ends = [(least - zero) as f32 * scale, (most - zero) as f32 * scale];
            *w = w.max(ends[0].min(ends[1])).min(ends[0].max(ends[1]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Codes;
    use crate::onnx::{Dtype, Tensor};

    #[test]
    fn floats_become_the_nearest_integers_within_reach() {
        let codes = Codes {
            initializer: "w".to_owned(),
            integers: Tensor {
                dims: vec![2, 2],
                dtype: Dtype::Uint8,
                bytes: vec![0u8; 4].into(),
            },
            steps: vec![(0.5, 3), (0.5, 3), (0.1, 200), (0.1, 200)],
            limits: (0, 255),
            reach: 60,
        };
        // −2 is 4 steps below 3, where the type ends at 3 below; 9 is 90 steps above, where the reach ends at 55 below the type's end.
        let weights = [-2.0, 0.7, 9.0, -0.26];
        assert_eq!(codes.stored(&weights).to_i64(), Some(vec![0, 4, 255, 197]));
        let rounded = codes.rounded(&weights);
        let expected = [-1.5, 0.5, 5.5, -0.3];
        assert!(
            rounded.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{rounded:?}"
        );
        let mut held = weights;
        codes.hold(&mut held);
        let expected = [-1.5, 0.7, 5.5, -0.26];
        assert!(
            held.iter()
                .zip(expected)
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
            "{held:?}"
        );
        assert_eq!(codes.stored(&held).to_i64(), codes.stored(&weights).to_i64());
    }
}
