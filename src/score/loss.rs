//! How far a model's outputs are from the original's, in what users feel: nats of Kullback-Leibler divergence for
//! classifiers, squared error over variance for other outputs.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use crate::device::DeviceTensor;

/// Outputs of the original on the samples of some runs.
#[derive(Debug, Default)]
pub struct Reference {
    runs: Vec<JudgedRun>,
}

/// One run of the original.
#[derive(Debug)]
struct JudgedRun {
    samples: usize,
    outputs: Vec<(String, OutputKind, Vec<f32>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum OutputKind {
    /// Values of so many classes before normalization.
    Logits(usize),
    /// Probabilities of so many classes.
    Probabilities(usize),
    /// Whole numbers, such as classes: they are the same or not.
    Whole,
    /// Anything else.
    Values,
}

/// How far another model is from the original, over the runs that were added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    sum: f64,
    samples: usize,
    /// Whether an output held another number of values than the original's and no other could be compared.
    selection: bool,
    /// Rows of classes that get the original's best class, and all.
    same: usize,
    rows: usize,
}

impl Judgement {
    /// A mean loss over so many samples.
    pub fn of(loss: f64, samples: usize) -> Self {
        Self {
            sum: loss * samples as f64,
            samples,
            ..Self::default()
        }
    }

    /// Mean loss over samples: infinite where an output is no number and the original's is, or where nothing could be
    /// compared.
    pub fn loss(&self) -> f64 {
        let mean = self.sum / self.samples as f64;
        if mean.is_nan() { f64::INFINITY } else { mean }
    }

    /// Whether nothing could be compared in some run, as all outputs are selections of another length.
    pub fn is_of_selections(&self) -> bool {
        self.selection
    }

    /// The share of samples with the original's class, for classifiers.
    pub fn agreement(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.same as f64 / self.rows as f64)
    }
}

impl Reference {
    /// Adds the outputs of the next run, of `samples` samples.
    pub(super) fn push(&mut self, outputs: &[(String, DeviceTensor)], samples: usize) {
        let one = outputs.iter().filter_map(|(name, held)| {
            if let Some(values) = held.floats() {
                let values = values.into_owned();
                return Some((name.clone(), kind(&held.dims(), &values, samples), values));
            }
            let whole = held.tensor()?.to_i64()?;
            Some((
                name.clone(),
                OutputKind::Whole,
                whole.into_iter().map(|v| v as f32).collect(),
            ))
        });
        self.runs.push(JudgedRun {
            samples,
            outputs: one.collect(),
        });
    }

    /// Whether some output holds numbers that others can be compared with.
    pub(super) fn is_comparable(&self) -> bool {
        let mut all = self.runs.iter().flat_map(|r| &r.outputs);
        all.any(|(_, _, values)| values.iter().any(|v| v.is_finite()))
    }

    /// The first run with a NaN, and the output that holds it.
    pub(super) fn first_nan(&self) -> Option<(usize, &str)> {
        let mut all = self
            .runs
            .iter()
            .enumerate()
            .flat_map(|(k, r)| r.outputs.iter().map(move |o| (k, o)));
        let found = all.find(|(_, (_, _, values))| values.iter().any(|v| v.is_nan()));
        found.map(|(k, (name, _, _))| (k, name.as_str()))
    }

    /// Adds another model's outputs of run `run` to a judgement.
    pub(super) fn add(&self, judgement: &mut Judgement, run: usize, outputs: &[(String, DeviceTensor)]) {
        let Some(own) = self.runs.get(run) else { return };
        let loss = own.loss(outputs);
        judgement.selection |= loss.is_nan();
        judgement.sum += own.samples as f64 * loss;
        judgement.samples += own.samples;
        for (name, kind, before) in &own.outputs {
            let (OutputKind::Logits(classes) | OutputKind::Probabilities(classes)) = *kind else {
                continue;
            };
            let Some(after) = values_of(outputs, name) else {
                continue;
            };
            for (a, b) in before.chunks_exact(classes).zip(after.chunks_exact(classes)) {
                judgement.same += usize::from(best_class(a) == best_class(b));
                judgement.rows += 1;
            }
        }
    }
}

impl JudgedRun {
    /// The loss of another model's outputs: mean over outputs. An output of another length (as of a selection) is not compared;
    /// infinite where a value is no number and the original's is, not a number where nothing is compared.
    fn loss(&self, outputs: &[(String, DeviceTensor)]) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for (name, kind, before) in &self.outputs {
            let Some(after) = values_of(outputs, name).filter(|a| a.len() == before.len()) else {
                continue;
            };
            sum += distance(*kind, before, &after);
            count += 1.0;
        }
        sum / count
    }
}

/// The values of an output by name.
fn values_of(outputs: &[(String, DeviceTensor)], name: &str) -> Option<Vec<f32>> {
    let (_, held) = outputs.iter().find(|(n, _)| n == name)?;
    match held.floats() {
        Some(values) => Some(values.into_owned()),
        None => Some(held.tensor()?.to_i64()?.into_iter().map(|v| v as f32).collect()),
    }
}

/// The first of the greatest values.
pub fn best_class<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// What an output of a run of `samples` samples is. Rows of classes stand along its first axis; where the second one carries the
/// batch, it holds no classes.
fn kind(dims: &[usize], values: &[f32], samples: usize) -> OutputKind {
    let (rows, classes) = (dims.first().copied().unwrap_or(0), dims.get(1).copied().unwrap_or(0));
    let batch_behind = classes == samples && rows != samples;
    if classes < 2 || batch_behind || dims.iter().skip(2).any(|&d| d != 1) {
        return OutputKind::Values;
    }
    let normal = |row: &[f32]| row.iter().all(|&p| p >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-3;
    if values.chunks_exact(classes).all(normal) {
        OutputKind::Probabilities(classes)
    } else {
        OutputKind::Logits(classes)
    }
}

/// A classifier whose values hardly differ between classes diverges little whatever is done to it; a small share of
/// the values' own error tells such plans apart.
const VALUES_SHARE: f64 = 0.01;

fn distance(kind: OutputKind, before: &[f32], after: &[f32]) -> f64 {
    let lost = |(a, b): (&f32, &f32)| a.is_finite() && !b.is_finite();
    if before.iter().zip(after).any(lost) {
        return f64::INFINITY;
    }
    let nats = match kind {
        OutputKind::Logits(classes) => divergence(before, after, classes, log_softmax),
        OutputKind::Probabilities(classes) => divergence(before, after, classes, |row| {
            row.iter().map(|&p| f64::from(p).max(1e-12).ln()).collect()
        }),
        OutputKind::Values => return relative_error(before, after),
        OutputKind::Whole => {
            let other = before.iter().zip(after).filter(|(a, b)| a != b).count();
            return other as f64 / before.len().max(1) as f64;
        }
    };
    nats + VALUES_SHARE * relative_error(before, after)
}

/// Squared error over the spread of the values, where the original's are numbers.
fn relative_error(before: &[f32], after: &[f32]) -> f64 {
    let finite = || before.iter().zip(after).filter(|(a, _)| a.is_finite());
    let count = finite().count().max(1) as f64;
    let mean = finite().map(|(&a, _)| f64::from(a)).sum::<f64>() / count;
    let spread: f64 = finite().map(|(&a, _)| (f64::from(a) - mean).powi(2)).sum();
    let error: f64 = finite().map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
    error / spread.max(1e-12)
}

/// Mean over rows of Σ p (ln p − ln q).
fn divergence(before: &[f32], after: &[f32], classes: usize, logs: impl Fn(&[f32]) -> Vec<f64> + Sync) -> f64 {
    let rows = before.par_chunks_exact(classes).zip(after.par_chunks_exact(classes));
    let of_row = |(p, q): (&[f32], &[f32])| -> f64 {
        let (p, q) = (logs(p), logs(q));
        // A class that the original rules out adds nothing.
        let terms = p.iter().zip(&q).filter(|(a, _)| a.is_finite());
        terms.map(|(a, b)| a.exp() * (a - b)).sum()
    };
    let of_rows: Vec<f64> = rows.map(of_row).collect();
    of_rows.iter().sum::<f64>() / (of_rows.len() as f64).max(1.0)
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let log_sum = row.iter().map(|&v| f64::from(v - most).exp()).sum::<f64>().ln();
    row.iter().map(|&v| f64::from(v - most) - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::{Judgement, OutputKind, VALUES_SHARE, distance, kind, relative_error};

    #[test]
    fn classifiers_are_told_from_maps_and_logits_from_probabilities() {
        assert_eq!(kind(&[1, 2, 1, 1], &[0.25, 0.75], 1), OutputKind::Probabilities(2));
        assert_eq!(kind(&[1, 2], &[-1.0, 2.0], 1), OutputKind::Logits(2));
        assert_eq!(kind(&[1, 2, 3], &[0.0; 6], 1), OutputKind::Values);
        // Steps of time before the batch are no samples.
        assert_eq!(kind(&[3, 2], &[0.0; 6], 2), OutputKind::Values);
        assert_eq!(kind(&[2, 3], &[0.0; 6], 2), OutputKind::Logits(3));
    }

    #[test]
    fn what_is_no_number_is_infinitely_far_and_never_nothing() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for kind in [OutputKind::Logits(2), OutputKind::Values] {
            assert_eq!(distance(kind, &[1.0, 2.0], &[1.0, nan]), f64::INFINITY);
            assert_eq!(distance(kind, &[1.0, 2.0], &[inf, 2.0]), f64::INFINITY);
        }
        assert_eq!(distance(OutputKind::Values, &[1.0, nan, 3.0], &[1.0, 5.0, 3.0]), 0.0);
        assert_eq!(distance(OutputKind::Logits(2), &[1.0, -inf], &[1.0, -inf]), 0.0);
        assert_eq!(distance(OutputKind::Whole, &[1.0, 2.0], &[1.0, 3.0]), 0.5);
        assert_eq!(Judgement::default().loss(), f64::INFINITY);
    }

    #[test]
    fn equal_outputs_lose_nothing_and_others_lose_what_the_formula_says() {
        let p: [f32; 2] = [0.8, 0.2];
        let q: [f32; 2] = [0.5, 0.5];
        let exact = 0.8 * (0.8f64 / 0.5).ln() + 0.2 * (0.2f64 / 0.5).ln();
        let logits = |p: [f32; 2]| p.map(|v| v.ln() + 3.0);
        for (kind, p, q) in [
            (OutputKind::Probabilities(2), p, q),
            (OutputKind::Logits(2), logits(p), logits(q)),
        ] {
            let values = VALUES_SHARE * relative_error(&p, &q);
            assert!((distance(kind, &p, &q) - exact - values).abs() < 1e-6);
            assert_eq!(distance(kind, &p, &p), 0.0);
        }
        assert_eq!(distance(OutputKind::Values, &[1.0, 3.0], &[1.0, 3.0]), 0.0);
        assert_eq!(distance(OutputKind::Values, &[1.0, 3.0], &[2.0, 3.0]), 0.5);
    }
}
