//! Outputs of two models on the same inputs.

use serde::{Deserialize, Serialize};

use crate::onnx::Tensor;
use crate::target::{InputSpec, Named, Target, random_inputs};
use crate::{Error, Result};

/// How well two models agree, over all outputs and inputs tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The largest absolute difference of two elements.
    pub max_abs_diff: f64,
    /// The largest absolute difference over the range (largest minus least value) of its output.
    pub max_rel_diff: f64,
    /// The least cosine of two outputs as vectors.
    pub cosine: f64,
    /// Inputs tried.
    pub inputs_tried: usize,
}

impl Agreement {
    /// Whether the outputs are the same within float tolerance: 1e-3 of each output's range.
    pub fn holds(&self) -> bool {
        self.max_rel_diff <= 1e-3 && self.cosine >= 0.9999
    }
}

/// Runs both models on `tries` random inputs and compares all outputs.
///
/// # Errors
/// When a run fails, or the outputs differ in number, name, type or shape.
pub fn compare(
    target: &dyn Target,
    original: &[u8],
    rewritten: &[u8],
    specs: &[InputSpec],
    seed: u64,
    tries: usize,
) -> Result<Agreement> {
    let mut agreement = Agreement {
        max_abs_diff: 0.0,
        max_rel_diff: 0.0,
        cosine: 1.0,
        inputs_tried: tries,
    };
    for k in 0..tries as u64 {
        let inputs = random_inputs(specs, seed.wrapping_add(k), 1.0)?;
        let before = target.outputs(original, &inputs)?;
        let after = target.outputs(rewritten, &inputs)?;
        add(&mut agreement, &before, &after)?;
    }
    Ok(agreement)
}

fn add(agreement: &mut Agreement, before: &[Named], after: &[Named]) -> Result<()> {
    let names = |all: &[Named]| all.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    if names(before) != names(after) {
        return Err(Error::Model(
            "the rewritten model has other outputs".to_owned(),
        ));
    }
    for ((name, a), (_, b)) in before.iter().zip(after) {
        if (&a.dims, a.dtype) != (&b.dims, b.dtype) {
            return Err(Error::tensor(
                name,
                format!(
                    "the rewritten model gives {:?} instead of {:?}",
                    b.dims, a.dims
                ),
            ));
        }
        let (Some(x), Some(y)) = (numbers(a), numbers(b)) else {
            continue;
        };
        one(agreement, &x, &y);
    }
    Ok(())
}

fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.to_f32() {
        Some(values) => Some(values.into_iter().map(f64::from).collect()),
        None => Some(tensor.to_i64()?.into_iter().map(|v| v as f64).collect()),
    }
}

/// Adds one output. Equal infinities and two NaNs are no difference; one alone is an infinite one.
fn one(agreement: &mut Agreement, x: &[f64], y: &[f64]) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut worst, mut xy, mut xx, mut yy) = (0.0f64, 0.0, 0.0, 0.0);
    for (&a, &b) in x.iter().zip(y) {
        if a == b || (a.is_nan() && b.is_nan()) {
            if a.is_finite() {
                (low, high) = (low.min(a), high.max(a));
                (xy, xx, yy) = (xy + a * b, xx + a * a, yy + b * b);
            }
            continue;
        }
        let difference = (a - b).abs();
        worst = worst.max(if difference.is_finite() {
            difference
        } else {
            f64::INFINITY
        });
        if a.is_finite() && b.is_finite() {
            (low, high) = (low.min(a), high.max(a));
            (xy, xx, yy) = (xy + a * b, xx + a * a, yy + b * b);
        }
    }
    // An output of one value, or of equal ones, is measured against its size.
    let range = if high > low { high - low } else { high.abs() };
    agreement.max_abs_diff = agreement.max_abs_diff.max(worst);
    if worst > 0.0 {
        agreement.max_rel_diff = agreement
            .max_rel_diff
            .max(worst / range.max(f64::MIN_POSITIVE));
    }
    let norm = (xx * yy).sqrt();
    if norm > 0.0 {
        agreement.cosine = agreement.cosine.min(xy / norm);
    } else if xx != yy {
        agreement.cosine = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Agreement, one};

    fn fresh() -> Agreement {
        Agreement {
            max_abs_diff: 0.0,
            max_rel_diff: 0.0,
            cosine: 1.0,
            inputs_tried: 1,
        }
    }

    #[test]
    fn differences_are_measured_against_the_range() {
        let mut a = fresh();
        one(&mut a, &[0.0, 10.0, 5.0], &[0.0, 10.0, 5.1]);
        assert!((a.max_abs_diff - 0.1).abs() < 1e-9 && (a.max_rel_diff - 0.01).abs() < 1e-9);
        assert!(!a.holds());
    }

    #[test]
    fn a_new_nan_is_a_difference_and_an_old_one_is_not() {
        let mut same = fresh();
        one(&mut same, &[f64::NAN, 1.0, 2.0], &[f64::NAN, 1.0, 2.0]);
        assert!(same.holds());
        let mut new = fresh();
        one(&mut new, &[0.0, 1.0, 2.0], &[f64::NAN, 1.0, 2.0]);
        assert!(!new.holds());
    }
}
