//! What the outputs of a model are compared as.

use super::classes::{Form, Rows as ClassRows};
use super::columns::{Activation, Axis, Spread, column_error, relative_error, set_error};
use super::detections::{box_error, score_error, set_distance};
use crate::task::{DetectLayout, OutputValues, Rows, best_class};

/// A run of the original: its samples, and its outputs.
#[derive(Debug)]
pub(super) struct JudgedRun {
    pub samples: usize,
    pub outputs: Vec<OutputValues>,
    /// What a detector says of each sample.
    pub rows: Vec<Rows>,
    /// How much each place of each sample counts.
    pub weights: Vec<Vec<f64>>,
}

/// One thing that is compared, with its weight.
#[derive(Debug)]
pub(super) struct Head {
    /// The outputs it reads.
    pub outputs: Vec<String>,
    pub weight: f64,
    pub how: Compare,
}

/// How outputs are compared.
#[derive(Debug)]
pub(super) enum Compare {
    /// Rows of classes.
    Classes(ClassRows),
    /// Whole numbers: they are the same or not.
    Whole,
    /// Directions of vectors, over the variance of those.
    Vectors(f64),
    /// Columns of numbers with their variances; places of a detector count by what is there.
    Columns {
        axis: Axis,
        activation: Activation,
        variances: Vec<f64>,
        /// Which of a detector's places its rows are.
        places: Option<usize>,
    },
    /// Scores of a detector over the original's energy for each sample.
    Scores(DetectLayout, f64),
    /// Boxes of a detector.
    Boxes(DetectLayout),
    /// Detections that the graph selected.
    Selected(DetectLayout),
    /// Rows whose number differs from sample to sample, with their columns' variances.
    Ragged(Vec<f64>),
}

/// How much a row of another output counts, by what the detector says at its place.
pub(super) fn place_weight(run: &JudgedRun, places: Option<usize>, row: usize, rows: usize) -> f64 {
    let Some(from) = places else { return 1.0 };
    let each = (rows / run.samples.max(1)).max(1);
    let of_sample = run.weights.get(row / each);
    of_sample.and_then(|w| w.get(from + row % each)).copied().unwrap_or(1.0)
}

impl Head {
    /// How far another model's outputs of a run are from the original's; infinite where a value is no number and the original's is.
    pub fn distance(&self, run: &JudgedRun, after: &[OutputValues]) -> f64 {
        if self.outputs.iter().any(|name| lost_numbers(run, after, name)) {
            return f64::INFINITY;
        }
        let samples = run.samples;
        let mean = |of: &dyn Fn(usize) -> f64| (0..samples).map(of).sum::<f64>() / samples.max(1) as f64;
        match &self.how {
            Compare::Scores(layout, energy) => mean(&|k| {
                let pair = run.rows.get(k).zip(Rows::read(layout, after, k, samples));
                pair.map_or(f64::INFINITY, |(a, b)| score_error(a, &b) / energy)
            }),
            Compare::Boxes(layout) => mean(&|k| {
                let pair = run.rows.get(k).zip(Rows::read(layout, after, k, samples));
                let weights = run.weights.get(k).map(Vec::as_slice).unwrap_or_default();
                pair.map_or(f64::INFINITY, |(a, b)| box_error(a, &b, weights))
            }),
            Compare::Selected(layout) => mean(&|k| {
                set_distance(
                    &layout.found(&run.outputs, k, samples),
                    &layout.found(after, k, samples),
                )
            }),
            other => {
                let find = |all: &'_ [OutputValues]| all.iter().position(|o| self.outputs.contains(&o.name));
                match find(&run.outputs).zip(find(after)) {
                    Some((a, b)) => of_one(other, run, &run.outputs[a], &after[b]),
                    None => f64::INFINITY,
                }
            }
        }
    }

    /// What it compares, in words.
    pub fn text(&self) -> String {
        let what = match &self.how {
            Compare::Classes(rows) => {
                let form = match rows.form {
                    Form::Logits => "logits",
                    Form::Probabilities => "probabilities",
                };
                format!(
                    "divergence of {} classes ({form}, temperature {:.3})",
                    rows.classes, rows.temperature
                )
            }
            Compare::Whole => "share of whole numbers that differ".to_owned(),
            Compare::Vectors(_) => "squared error of directions over their variance".to_owned(),
            Compare::Columns {
                axis,
                activation,
                places,
                ..
            } => {
                let of = match activation {
                    Activation::None => "",
                    Activation::Sigmoid => " of sigmoids",
                    Activation::Softmax => " of softmaxes",
                };
                let by = if places.is_some() {
                    ", places by their scores"
                } else {
                    ""
                };
                format!("squared error{of} over variance, {} columns{by}", axis.count)
            }
            Compare::Scores(layout, _) => format!("squared error of scores ({} layout)", layout.name),
            Compare::Boxes(layout) => format!("error of decoded boxes by their scores ({} layout)", layout.name),
            Compare::Selected(layout) => format!("detections matched by overlap ({})", layout.name),
            Compare::Ragged(variances) => format!("sets of rows of {} columns, by quantiles", variances.len()),
        };
        match self.weight == 1.0 {
            true => what,
            false => format!("{what}, weight {}", self.weight),
        }
    }

    /// Which rows of classes get the original's best class, and how many there are; `None` where it is not about classes.
    pub fn same_classes(&self, run: &JudgedRun, after: &[OutputValues]) -> Option<(usize, usize)> {
        let Compare::Classes(rows) = &self.how else { return None };
        let values = |all: &'_ [OutputValues]| all.iter().position(|o| self.outputs.contains(&o.name));
        let (a, b) = (
            &run.outputs[values(&run.outputs)?].values,
            &after[values(after)?].values,
        );
        let pairs = a.chunks_exact(rows.classes).zip(b.chunks_exact(rows.classes));
        let same = pairs.filter(|(a, b)| best_class(a) == best_class(b)).count();
        Some((same, a.len() / rows.classes))
    }
}

/// Whether a value is no number where the original's is.
fn lost_numbers(run: &JudgedRun, after: &[OutputValues], name: &str) -> bool {
    let find = |all: &'_ [OutputValues]| all.iter().position(|o| o.name == name);
    let Some((a, b)) = find(&run.outputs).zip(find(after)) else {
        return true;
    };
    let (a, b) = (&run.outputs[a].values, &after[b].values);
    match a.len() == b.len() {
        true => a.iter().zip(b).any(|(a, b)| a.is_finite() && !b.is_finite()),
        false => b.iter().any(|v| !v.is_finite()) && a.iter().all(|v| v.is_finite()),
    }
}

/// How far one output is.
fn of_one(how: &Compare, run: &JudgedRun, before: &OutputValues, after: &OutputValues) -> f64 {
    let (a, b) = (&before.values, &after.values);
    if let Compare::Ragged(variances) = how {
        return set_error(variances.len(), variances, a, b);
    }
    if a.len() != b.len() {
        let mut spread = Spread::default();
        spread.add(Axis { count: 1, inner: 1 }, a, &|_| 1.0);
        return set_error(1, &spread.variances(a.len()), a, b);
    }
    match how {
        Compare::Classes(rows) => rows.distance(a, b),
        Compare::Whole => {
            let other = a.iter().zip(b).filter(|(a, b)| a != b).count();
            other as f64 / a.len().max(1) as f64
        }
        Compare::Vectors(variance) => {
            let each = a.len() / run.samples.max(1);
            let (a, b) = (units(a, each), units(b, each));
            let error: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            error / run.samples.max(1) as f64 / variance
        }
        Compare::Columns {
            axis,
            activation,
            variances,
            places,
        } => {
            let rows = a.len() / axis.count;
            let weight = |row: usize| place_weight(run, *places, row, rows);
            if *activation == Activation::None {
                return column_error(*axis, variances, (a, b), &weight);
            }
            let (mut a, mut b) = (a.clone(), b.clone());
            axis.activate(*activation, &mut a);
            axis.activate(*activation, &mut b);
            column_error(*axis, variances, (&a, &b), &weight)
        }
        _ => relative_error(a, b),
    }
}

/// Vectors of `each` numbers at length one.
pub(super) fn units(values: &[f32], each: usize) -> Vec<f32> {
    let unit = |row: &[f32]| {
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        row.iter().map(|v| v / length).collect::<Vec<f32>>()
    };
    values.chunks_exact(each.max(1)).flat_map(unit).collect()
}
