//! Outputs of two models on the same inputs.

use serde::{Deserialize, Serialize};

use crate::device::{Device, InputSpec, NamedTensor, Run, TimedSession, random_inputs};
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
    /// How far the original is from itself when ONNX Runtime leaves its graph as it is and computes
    /// on the CPU: the largest difference over the range of its output. Rounding alone does this.
    /// Of the first input, and of those where more than 1e-3 of the range is to be explained.
    pub rounding: f64,
    /// The largest difference over what is tolerated: 1e-3 of the output's range, or four times the
    /// output's own rounding where that is more (outputs that saturate have hardly any range).
    pub worst_over_tolerance: f64,
    /// Inputs tried.
    pub inputs_tried: usize,
    /// Outputs that hold another number of values than the original's, so that their elements were not compared.
    #[serde(default)]
    pub unlike: Vec<String>,
    /// Outputs of which nothing was compared in some run: the original gives no finite number there.
    #[serde(default)]
    pub blank: Vec<String>,
}

impl Agreement {
    /// What was not compared, for people.
    pub fn not_compared(&self) -> Vec<String> {
        let unlike = self.unlike.iter().map(|name| {
            format!("output '{name}': how much it holds depends on the values (a selection), so it was not compared element by element")
        });
        let blank = self.blank.iter().map(|name| {
            format!("output '{name}': on random inputs the original gives NaN or infinity only, so nothing was compared; samples for evaluation can tell")
        });
        unlike.chain(blank).collect()
    }
}

impl Agreement {
    /// Whether the outputs are the same within float tolerance.
    pub fn holds(&self) -> bool {
        self.unlike.is_empty() && self.worst_over_tolerance <= 1.0
    }

    /// Nothing compared yet.
    pub(crate) fn none(inputs_tried: usize) -> Self {
        Self {
            max_abs_diff: 0.0,
            max_rel_diff: 0.0,
            cosine: 1.0,
            rounding: 0.0,
            worst_over_tolerance: 0.0,
            inputs_tried,
            unlike: Vec::new(),
            blank: Vec::new(),
        }
    }
}

/// Runs both models on `tries` random inputs and compares all outputs.
///
/// # Errors
/// When a run fails, or the outputs differ in number, name, type or number of axes.
pub fn compare(
    device: &dyn Device,
    original: &[u8],
    rewritten: &[u8],
    specs: &[InputSpec],
    seed: u64,
    tries: usize,
) -> Result<Agreement> {
    let load = || Ok((device.loaded(original)?, device.loaded(rewritten)?));
    compare_runs(device, original, load, specs, seed, tries)
}

/// The same of two sessions that are loaded for timing; `None` where these give no outputs.
///
/// # Errors
/// As for [`compare`].
pub fn compare_loaded(
    device: &dyn Device,
    original: &[u8],
    sessions: &mut [Box<dyn TimedSession>],
    specs: &[InputSpec],
    seed: u64,
    tries: usize,
) -> Result<Option<Agreement>> {
    let [before, after] = sessions else {
        return Ok(None);
    };
    if !before.gives_outputs() || !after.gives_outputs() {
        return Ok(None);
    }
    let runs: (Run, Run) = (
        Box::new(|inputs| before.outputs(inputs)),
        Box::new(|inputs| after.outputs(inputs)),
    );
    compare_runs(device, original, || Ok(runs), specs, seed, tries).map(Some)
}

fn compare_runs<'r>(
    device: &dyn Device,
    original: &[u8],
    load: impl FnOnce() -> Result<(Run<'r>, Run<'r>)>,
    specs: &[InputSpec],
    seed: u64,
    tries: usize,
) -> Result<Agreement> {
    let mut agreement = Agreement::none(tries);
    let inputs_of = |k: usize| random_inputs(specs, seed.wrapping_add(k as u64), 1.0);
    let first = inputs_of(0)?;
    let plain = || device.outputs_plain(original, &first);
    // The cores that compute it have nothing to do with a device that the others run on.
    let (own, runs) = beside(plain, || -> Result<_> {
        let (mut before, mut after) = load()?;
        let outputs = (before(&first)?, after(&first)?);
        Ok((before, after, outputs))
    });
    let (mut before, mut after, (x, y)) = runs?;
    add(&mut agreement, &x, &y, &own?)?;
    for k in 1..tries {
        let inputs = inputs_of(k)?;
        let (x, y) = (before(&inputs)?, after(&inputs)?);
        // It takes long for large batches: again only where rounding may explain a difference.
        let mut tried = agreement.clone();
        add(&mut tried, &x, &y, &x)?;
        if tried.holds() {
            agreement = tried;
        } else {
            add(&mut agreement, &x, &y, &device.outputs_plain(original, &inputs)?)?;
        }
    }
    Ok(agreement)
}

/// What both make, the first on a thread of its own.
fn beside<A: Send, B>(apart: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let apart = scope.spawn(apart);
        let here = here();
        let apart = apart.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (apart, here)
    })
}

fn add(agreement: &mut Agreement, before: &[NamedTensor], after: &[NamedTensor], plain: &[NamedTensor]) -> Result<()> {
    let names = |all: &[NamedTensor]| all.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    if names(before) != names(after) {
        return Err(Error::Model("the rewritten model has other outputs".to_owned()));
    }
    for ((name, a), (_, b)) in before.iter().zip(after) {
        // How much a selection gives depends on the values.
        if a.dtype == b.dtype && a.dims.len() == b.dims.len() && a.dims != b.dims {
            if !agreement.unlike.contains(name) {
                agreement.unlike.push(name.clone());
            }
            continue;
        }
        if (&a.dims, a.dtype) != (&b.dims, b.dtype) {
            return Err(Error::tensor(
                name,
                format!("the rewritten model gives {:?} instead of {:?}", b.dims, a.dims),
            ));
        }
        let (Some(x), Some(y)) = (a.numbers(), b.numbers()) else {
            continue;
        };
        if !x.is_empty() && !x.iter().any(|v| v.is_finite()) && !agreement.blank.contains(name) {
            agreement.blank.push(name.clone());
        }
        let own = plain.iter().find(|(n, _)| n == name).and_then(|(_, t)| t.numbers());
        one(agreement, &x, &y, &own.unwrap_or_else(|| x.clone()));
    }
    Ok(())
}

/// The largest difference of two lists. Equal infinities and two NaNs are no difference; one alone
/// is an infinite one.
fn largest(x: &[f64], y: &[f64]) -> f64 {
    if x.len() != y.len() {
        return f64::INFINITY;
    }
    let pairs = x.iter().zip(y).filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan()));
    pairs
        .map(|(a, b)| (a - b).abs())
        .map(|d| if d.is_nan() { f64::INFINITY } else { d })
        .fold(0.0, f64::max)
}

/// Adds one output: before, after, and before without optimization.
fn one(agreement: &mut Agreement, x: &[f64], y: &[f64], plain: &[f64]) {
    let finite = || x.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    // An output of one value, or of equal ones, is measured against its size.
    let range = if high > low { high - low } else { high.abs() }.max(f64::MIN_POSITIVE);
    let (worst, rounding) = (largest(x, y), largest(x, plain));
    let rounding = if rounding.is_finite() { rounding } else { 0.0 };
    let tolerance = (1e-3 * range).max(4.0 * rounding);
    agreement.max_abs_diff = agreement.max_abs_diff.max(worst);
    agreement.max_rel_diff = agreement.max_rel_diff.max(worst / range);
    agreement.rounding = agreement.rounding.max(rounding / range);
    agreement.worst_over_tolerance = agreement.worst_over_tolerance.max(worst / tolerance);
    let both = || x.iter().zip(y).filter(|(a, b)| a.is_finite() && b.is_finite());
    let xy: f64 = both().map(|(a, b)| a * b).sum();
    let xx: f64 = both().map(|(a, _)| a * a).sum();
    let yy: f64 = both().map(|(_, b)| b * b).sum();
    if xx > 0.0 && yy > 0.0 {
        agreement.cosine = agreement.cosine.min(xy / (xx * yy).sqrt());
    } else if xx != yy {
        agreement.cosine = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Agreement, one};

    fn compared(x: &[f64], y: &[f64], plain: &[f64]) -> Agreement {
        let mut agreement = Agreement::none(1);
        one(&mut agreement, x, y, plain);
        agreement
    }

    #[test]
    fn differences_are_measured_against_the_range() {
        let x = [0.0, 10.0, 5.0];
        let a = compared(&x, &[0.0, 10.0, 5.1], &x);
        assert!((a.max_abs_diff - 0.1).abs() < 1e-9 && (a.max_rel_diff - 0.01).abs() < 1e-9);
        assert!(!a.holds());
        assert!(compared(&x, &[0.0, 10.0, 5.001], &x).holds());
    }

    #[test]
    fn a_saturated_output_is_measured_against_its_rounding() {
        let x = [0.0, 3e-7, 1e-7];
        assert!(!compared(&x, &[1e-7, 3e-7, 1e-7], &x).holds());
        assert!(compared(&x, &[1e-7, 3e-7, 1e-7], &[0.0, 2e-7, 1e-7]).holds());
    }

    #[test]
    fn what_could_not_be_compared_is_told() {
        let named = |values: &[f32]| {
            vec![(
                "y".to_owned(),
                crate::onnx::Tensor::from_f32(vec![values.len()], values),
            )]
        };
        let mut agreement = Agreement::none(1);
        let (some, none) = (named(&[1.0, f32::NAN]), named(&[f32::NAN, f32::NAN]));
        super::add(&mut agreement, &some, &some, &some).unwrap();
        assert!(agreement.not_compared().is_empty() && agreement.holds());
        super::add(&mut agreement, &none, &none, &none).unwrap();
        super::add(&mut agreement, &none, &none, &none).unwrap();
        assert!(agreement.not_compared().len() == 1 && agreement.not_compared()[0].contains("'y'"));
        // A selection of another length is not the same, and not compared.
        super::add(&mut agreement, &some, &named(&[1.0]), &some).unwrap();
        assert!(!agreement.holds() && agreement.unlike == ["y"]);
    }

    #[test]
    fn a_new_nan_is_a_difference_and_an_old_one_is_not() {
        let old = [f64::NAN, 1.0, 2.0];
        assert!(compared(&old, &old, &old).holds());
        let x = [0.0, 1.0, 2.0];
        assert!(!compared(&x, &old, &x).holds());
    }
}
