//! Two models' outputs for the same inputs, element by element.

use serde::Serialize;

use crate::device::{Device, NamedTensor};
use crate::onnx::Tensor;
use crate::{Error, Result};

/// What is no difference: |a − b| ≤ `absolute` + `relative` · |a|, as `numpy.isclose` has it with a and b the other way round;
/// equal infinities; NaN in both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// Share of the first model's value.
    pub relative: f64,
    /// In units of the output.
    pub absolute: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            relative: 1e-3,
            absolute: 1e-5,
        }
    }
}

/// One output over all inputs tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pair {
    /// Its name in the first model.
    pub name: String,
    /// Elements compared.
    pub elements: usize,
    /// Those that differ by more than is tolerated.
    pub different: usize,
    /// Those that are NaN in one model only.
    pub nan_in_one: usize,
    /// The largest difference of finite values.
    pub max_abs: f64,
    /// The largest difference of finite values over the first model's value.
    pub max_rel: f64,
    /// Where the element that is furthest beyond what is tolerated lies (row-major, the samples of all runs behind one another), and
    /// its two values.
    pub worst: Option<(usize, f64, f64)>,
    /// How far that is: the difference over what is tolerated.
    #[serde(skip)]
    excess: f64,
}

/// The inputs of one run.
#[derive(Clone, Debug)]
pub struct Tried {
    /// By name.
    pub inputs: Vec<NamedTensor>,
    /// Samples in it.
    pub samples: usize,
    /// How many of them, at its start, an earlier run had too: these are not counted again.
    pub repeated: usize,
}

/// Runs both models on each of `inputs`, and compares their outputs in the order of the files: names may differ.
///
/// # Errors
/// When a run fails, or the outputs differ in number, type or extents.
pub fn pairs(
    device: &dyn Device,
    models: [&[u8]; 2],
    inputs: &mut dyn Iterator<Item = Tried>,
    tolerance: Tolerance,
) -> Result<Vec<Pair>> {
    let mut found: Vec<Pair> = Vec::new();
    for tried in inputs {
        let inputs = &tried.inputs;
        let (first, second) = (device.outputs(models[0], inputs)?, device.outputs(models[1], inputs)?);
        if first.len() != second.len() {
            let what = format!("the models have {} and {} outputs", first.len(), second.len());
            return Err(Error::Model(what));
        }
        if found.is_empty() {
            found.extend(first.iter().map(|(name, _)| Pair {
                name: name.clone(),
                ..Pair::default()
            }));
        }
        for ((pair, (name, a)), (_, b)) in found.iter_mut().zip(&first).zip(&second) {
            if (&a.dims, a.dtype) != (&b.dims, b.dtype) {
                let shown = |t: &Tensor| format!("{:?} of {}", t.dims, t.dtype.as_str_name());
                return Err(Error::tensor(
                    name,
                    format!("{} in one model, {} in the other", shown(a), shown(b)),
                ));
            }
            let new = match a.dims.first() {
                Some(&rows) if rows == tried.samples => a.len() / rows.max(1) * tried.repeated,
                _ => 0,
            };
            let (Some(a), Some(b)) = (a.numbers(), b.numbers()) else {
                return Err(Error::tensor(
                    name,
                    format!("outputs of type {} are not compared", a.dtype.as_str_name()),
                ));
            };
            let (a, b) = (a.get(new..).unwrap_or_default(), b.get(new..).unwrap_or_default());
            pair.add(a, b, tolerance);
        }
    }
    Ok(found)
}

impl Pair {
    fn add(&mut self, a: &[f64], b: &[f64], tolerance: Tolerance) {
        let before = self.elements;
        self.elements += a.len();
        for (at, (&a, &b)) in a.iter().zip(b).enumerate() {
            let at = before + at;
            if a == b || (a.is_nan() && b.is_nan()) {
                continue;
            }
            let difference = (a - b).abs();
            let excess = match difference.is_finite() {
                true => difference / (tolerance.absolute + tolerance.relative * a.abs()),
                false => f64::INFINITY,
            };
            self.nan_in_one += usize::from(a.is_nan() != b.is_nan());
            if difference.is_finite() {
                self.max_abs = self.max_abs.max(difference);
                self.max_rel = self.max_rel.max(difference / a.abs());
            }
            // Neither NaN nor a tolerance of nothing may hide a difference.
            if excess > 1.0 || excess.is_nan() {
                self.different += 1;
                if self.worst.is_none() || excess > self.excess {
                    (self.worst, self.excess) = (Some((at, a, b)), excess);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pair, Tolerance};

    fn compared(a: &[f64], b: &[f64], relative: f64, absolute: f64) -> Pair {
        let mut pair = Pair::default();
        pair.add(a, b, Tolerance { relative, absolute });
        pair
    }

    #[test]
    fn the_rule_holds_at_its_edge() {
        assert_eq!(compared(&[100.0], &[100.1], 1e-3, 0.0).different, 0);
        let pair = compared(&[100.0, 1.0], &[100.2, 1.0], 1e-3, 0.0);
        assert_eq!(
            (pair.different, pair.worst, pair.elements),
            (1, Some((0, 100.0, 100.2)), 2)
        );
        assert_eq!(compared(&[0.0], &[1e-6], 0.0, 1e-5).different, 0);
        assert_eq!(compared(&[0.0], &[1e-30], 0.0, 0.0).different, 1);
    }

    #[test]
    fn what_is_no_number_is_the_same_only_in_both() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(compared(&[nan, inf, -inf], &[nan, inf, -inf], 0.0, 0.0).different, 0);
        let pair = compared(&[nan, 1.0, inf, inf], &[1.0, nan, -inf, 1.0], 1.0, 1.0);
        assert_eq!((pair.different, pair.nan_in_one), (4, 2));
    }
}
