//! How far a model's outputs are from the original's, in what users feel: nats of Kullback-Leibler divergence for
//! classifiers, squared error over variance for other outputs.

use crate::target::Held;

/// Outputs of the original on the samples of some runs.
#[derive(Debug, Default)]
pub struct Reference {
    runs: Vec<Vec<(String, Kind, Vec<f32>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Values of so many classes before normalization.
    Logits(usize),
    /// Probabilities of so many classes.
    Probabilities(usize),
    /// Anything else.
    Values,
}

impl Reference {
    /// Adds the outputs of the next run; what is no float is left out.
    pub fn push(&mut self, outputs: &[(String, Held)]) {
        let one = outputs.iter().filter_map(|(name, held)| {
            let values = held.floats()?.into_owned();
            Some((name.clone(), kind(&held.dims(), &values), values))
        });
        self.runs.push(one.collect());
    }

    /// Runs held.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The loss of another model's outputs in run `run`: mean over samples and outputs. Not a number where the
    /// outputs are none.
    pub fn loss(&self, run: usize, outputs: &[(String, Held)]) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for (name, kind, before) in self.runs.get(run).into_iter().flatten() {
            let found = outputs.iter().find(|(n, _)| n == name);
            let Some(after) = found
                .and_then(|(_, held)| held.floats())
                .filter(|a| a.len() == before.len())
            else {
                continue;
            };
            sum += distance(*kind, before, &after);
            count += 1.0;
        }
        sum / count
    }
}

impl Reference {
    /// Of one run: samples to which another model's outputs give the same best class, and samples; none for
    /// outputs that are no classes.
    pub fn agreeing(&self, run: usize, outputs: &[(String, Held)]) -> (usize, usize) {
        let (mut same, mut all) = (0, 0);
        for (name, kind, before) in self.runs.get(run).into_iter().flatten() {
            let (Kind::Logits(classes) | Kind::Probabilities(classes)) = *kind else {
                continue;
            };
            let found = outputs.iter().find(|(n, _)| n == name);
            let Some(after) = found.and_then(|(_, held)| held.floats()) else {
                continue;
            };
            for (a, b) in before.chunks_exact(classes).zip(after.chunks_exact(classes)) {
                same += usize::from(best(a) == best(b));
                all += 1;
            }
        }
        (same, all)
    }
}

/// The first of the greatest values.
fn best(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

fn kind(dims: &[usize], values: &[f32]) -> Kind {
    let classes = dims.get(1).copied().unwrap_or(0);
    if classes < 2 || dims.iter().skip(2).any(|&d| d != 1) {
        return Kind::Values;
    }
    let normal = |row: &[f32]| row.iter().all(|&p| p >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-3;
    if values.chunks_exact(classes).all(normal) {
        Kind::Probabilities(classes)
    } else {
        Kind::Logits(classes)
    }
}

/// A classifier whose values hardly differ between classes diverges little whatever is done to it; a small share of
/// the values' own error tells such plans apart.
const VALUES_SHARE: f64 = 0.01;

fn distance(kind: Kind, before: &[f32], after: &[f32]) -> f64 {
    let nats = match kind {
        Kind::Logits(classes) => divergence(before, after, classes, log_softmax),
        Kind::Probabilities(classes) => divergence(before, after, classes, |row| {
            row.iter().map(|&p| f64::from(p).max(1e-12).ln()).collect()
        }),
        Kind::Values => return relative_error(before, after),
    };
    nats + VALUES_SHARE * relative_error(before, after)
}

/// Squared error over the spread of the values.
fn relative_error(before: &[f32], after: &[f32]) -> f64 {
    let mean = before.iter().map(|&v| f64::from(v)).sum::<f64>() / before.len().max(1) as f64;
    let spread: f64 = before.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
    let error: f64 = before.iter().zip(after).map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
    error / spread.max(1e-12)
}

/// Mean over rows of Σ p (ln p − ln q).
fn divergence(before: &[f32], after: &[f32], classes: usize, logs: impl Fn(&[f32]) -> Vec<f64>) -> f64 {
    let rows = before.chunks_exact(classes).zip(after.chunks_exact(classes));
    let (mut sum, mut count) = (0.0, 0.0f64);
    for (p, q) in rows {
        let (p, q) = (logs(p), logs(q));
        sum += p.iter().zip(&q).map(|(a, b)| a.exp() * (a - b)).sum::<f64>();
        count += 1.0;
    }
    sum / count.max(1.0)
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&v| f64::from(v - most).exp()).sum();
    row.iter().map(|&v| f64::from(v - most) - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, VALUES_SHARE, distance, kind, relative_error};

    #[test]
    fn classifiers_are_told_from_maps_and_logits_from_probabilities() {
        assert_eq!(kind(&[1, 2, 1, 1], &[0.25, 0.75]), Kind::Probabilities(2));
        assert_eq!(kind(&[1, 2], &[-1.0, 2.0]), Kind::Logits(2));
        assert_eq!(kind(&[1, 2, 3], &[0.0; 6]), Kind::Values);
    }

    #[test]
    fn equal_outputs_lose_nothing_and_others_lose_what_the_formula_says() {
        let p: [f32; 2] = [0.8, 0.2];
        let q: [f32; 2] = [0.5, 0.5];
        let exact = 0.8 * (0.8f64 / 0.5).ln() + 0.2 * (0.2f64 / 0.5).ln();
        let logits = |p: [f32; 2]| p.map(|v| v.ln() + 3.0);
        for (kind, p, q) in [(Kind::Probabilities(2), p, q), (Kind::Logits(2), logits(p), logits(q))] {
            let values = VALUES_SHARE * relative_error(&p, &q);
            assert!((distance(kind, &p, &q) - exact - values).abs() < 1e-6);
            assert_eq!(distance(kind, &p, &p), 0.0);
        }
        assert_eq!(distance(Kind::Values, &[1.0, 3.0], &[1.0, 3.0]), 0.0);
        assert_eq!(distance(Kind::Values, &[1.0, 3.0], &[2.0, 3.0]), 0.5);
    }
}
