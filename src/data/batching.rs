//! Whether samples that are run together stay apart.

use super::Dataset;
use crate::device::{Device, NamedTensor};
use crate::onnx::Tensor;
use crate::{Error, Result};

/// Differences beyond this share of an output's range are no rounding.
const ROUNDING: f64 = 0.02;

impl Dataset {
    /// The same samples in runs of one where a model with an open batch mixes the samples of a run, or runs them one at a
    /// time only: shapes inside it may fix the batch, or lay the samples of a batch side by side. Told by running the first
    /// samples alone and together.
    ///
    /// # Errors
    /// When the model runs neither way.
    pub fn settled(mut self, device: &dyn Device, model: &[u8]) -> Result<Self> {
        if !self.open || self.batch < 2 {
            return Ok(self);
        }
        let alone = self.in_runs_of(1);
        let (mut ones, mut together) = (Vec::new(), None);
        device.with_runner(model, &mut |runner| {
            // All of a run together come last: a device that prepares for an input's shape is ready for what follows.
            for k in [0, self.batch - 1] {
                match runner.run_tensors(&alone.run(k).inputs) {
                    Err(Error::Stopped) => return Err(Error::Stopped),
                    one => ones.extend(one.ok().map(|one| (k, one))),
                }
            }
            together = match runner.run_tensors(&self.run(0).inputs) {
                Err(Error::Stopped) => return Err(Error::Stopped),
                whole => whole.ok(),
            };
            Ok(())
        })?;
        // If they do not run together either, what stops them is told where they are run next.
        if ones.len() < 2 {
            return Ok(self.in_declared_runs());
        }
        let why = match together {
            None => "it runs one sample at a time only",
            Some(whole) => {
                let apart = |(k, one): &(usize, Vec<NamedTensor>)| {
                    whole.iter().zip(one).all(|(w, o)| holds(w, o, *k, self.batch))
                };
                if ones.iter().all(apart) {
                    return Ok(self);
                }
                if self.runs_as_declared() {
                    // Such a batch was asked for: such runs are what the model is for.
                    let why = format!(
                        "the model mixes the samples of a batch: {} are run at a time, as it was opened",
                        self.declared
                    );
                    return Ok(self.run_as_declared(why));
                }
                "it mixes the samples of a batch (open it with the batch of your deployment)"
            }
        };
        self = alone;
        self.notes.push(format!(
            "the model leaves its batch open, but {why}: samples are run one by one"
        ));
        Ok(self)
    }

    /// The same samples for a model that takes no single ones.
    fn in_declared_runs(self) -> Self {
        if !self.runs_as_declared() {
            return self;
        }
        let why = format!(
            "the model leaves its batch open, but does not run one sample alone: {} are run at a time",
            self.declared
        );
        self.run_as_declared(why)
    }

    /// Whether the model was opened with several samples in a run, and there are as many.
    fn runs_as_declared(&self) -> bool {
        (2..=self.count).contains(&self.declared)
    }

    /// The same samples in runs of just as many as the model was opened with, and why.
    fn run_as_declared(mut self, why: String) -> Self {
        self.notes.push(why);
        (self.batch, self.open) = (self.declared, false);
        self
    }
}

/// Whether an output of a run holds what sample `k` gives alone, along the axis that carries the batch.
fn holds((_, whole): &NamedTensor, (_, one): &NamedTensor, k: usize, batch: usize) -> bool {
    if whole.dims == one.dims {
        // The output does not depend on the batch.
        return near(whole.numbers(), one.numbers());
    }
    if whole.dims.len() != one.dims.len() {
        return false;
    }
    let differing: Vec<usize> = (0..one.dims.len()).filter(|&a| whole.dims[a] != one.dims[a]).collect();
    let [axis] = differing[..] else { return false };
    if whole.dims[axis] != batch * one.dims[axis] {
        return false;
    }
    let (outer, dim): (usize, usize) = (one.dims[..axis].iter().product(), one.dims[axis..].iter().product());
    let values = |t: &Tensor| t.numbers();
    let (Some(all), Some(own)) = (values(whole), values(one)) else {
        return true;
    };
    let part = (0..outer).flat_map(|o| {
        let from = (o * batch + k) * dim;
        all.get(from..from + dim).unwrap_or_default().iter().copied()
    });
    near(Some(part.collect()), Some(own))
}

/// Whether two lists are the same within rounding.
fn near(a: Option<Vec<f64>>, b: Option<Vec<f64>>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    let finite = || b.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let size = finite().fold(0.0, |m: f64, v| m.max(v.abs()));
    let range = if high > low { high - low } else { size };
    let tolerance = (ROUNDING * range).max(1e-5 * size).max(f64::MIN_POSITIVE);
    let same = |(x, y): (&f64, &f64)| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance;
    a.len() == b.len() && a.iter().zip(&b).all(same)
}

#[cfg(test)]
mod tests {
    use super::holds;
    use crate::onnx::Tensor;

    #[test]
    fn samples_are_found_on_the_axis_that_carries_the_batch() {
        let named = |dims: &[usize], values: &[f32]| ("y".to_owned(), Tensor::from_f32(dims.to_vec(), values));
        let one = named(&[2, 1, 2], &[3.0, 4.0, 7.0, 8.0]);
        // Steps of time before two samples.
        let whole = named(&[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert!(holds(&whole, &one, 1, 2));
        assert!(!holds(&whole, &one, 0, 2));
        // A batch that is laid out in one long axis of its own is not told apart.
        assert!(!holds(&named(&[8], &[0.0; 8]), &one, 0, 2));
        assert!(holds(&named(&[1], &[5.0]), &named(&[1], &[5.0]), 1, 2));
    }
}
