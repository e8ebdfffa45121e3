//! How far a model's outputs are from the original's, in what users feel.
//!
//! - Classes: Kullback-Leibler divergence at a temperature at which the original is not sure, and a little of the values' own error.
//! - Detectors whose layout is known: squared errors of scores over the energy of the original's, and errors of decoded boxes over
//!   their size, where something is.
//! - Detections that the graph selected: matched by overlap.
//! - Embeddings: squared errors of directions over their variance.
//! - All else: squared errors over variances, column by column; as sets where the number of rows depends on the sample.

mod classes;
mod columns;
mod detections;
mod head;
mod objective;
mod settle;
mod spec;
mod taught_detections;

use std::collections::BTreeMap;

use crate::device::DeviceTensor;
use crate::task::{OutputValues, Rows};
use detections::row_weights;
use head::{Head, JudgedRun};

pub use objective::{Objective, ObjectiveKind};
pub use spec::LossSpec;
pub use taught_detections::TaughtDetections;

/// Outputs of the original on the samples of some runs.
#[derive(Debug, Default)]
pub struct Reference {
    spec: LossSpec,
    runs: Vec<JudgedRun>,
    heads: Vec<Head>,
}

/// How far another model is from the original, over the runs that were added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    sum: f64,
    samples: usize,
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

    /// The share of samples with the original's class, for classifiers.
    pub fn agreement(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.same as f64 / self.rows as f64)
    }
}

impl Reference {
    pub(super) fn new(spec: &LossSpec) -> Self {
        Self {
            spec: spec.clone(),
            ..Self::default()
        }
    }

    /// Adds the outputs of the next run, of `samples` samples.
    pub(super) fn push(&mut self, outputs: &[(String, DeviceTensor)], samples: usize) {
        let outputs = values_of(outputs);
        let layout = self.spec.reading.as_ref().and_then(|r| r.layout());
        let read = |l| {
            (0..samples)
                .map(|k| Rows::read(l, &outputs, k, samples))
                .collect::<Option<Vec<_>>>()
        };
        let rows = layout.and_then(read).unwrap_or_default();
        self.runs.push(JudgedRun {
            samples,
            weights: rows.iter().map(row_weights).collect(),
            rows,
            outputs,
        });
    }

    /// Settles how outputs are compared, when all runs are known.
    pub(super) fn settle(&mut self) {
        self.heads = settle::heads(&self.spec, &self.runs);
    }

    /// Whether some output holds numbers that others can be compared with.
    pub(super) fn is_comparable(&self) -> bool {
        let judged = |o: &&OutputValues| self.heads.iter().any(|h| h.outputs.contains(&o.name));
        let mut all = self.runs.iter().flat_map(|r| r.outputs.iter().filter(judged));
        all.any(|o| o.values.iter().any(|v| v.is_finite()))
    }

    /// The first run with a NaN, and the output that holds it.
    pub(super) fn first_nan(&self) -> Option<(usize, &str)> {
        let mut all = self
            .runs
            .iter()
            .enumerate()
            .flat_map(|(k, r)| r.outputs.iter().map(move |o| (k, o)));
        let found = all.find(|(_, o)| o.values.iter().any(|v| v.is_nan()));
        found.map(|(k, o)| (k, o.name.as_str()))
    }

    /// Adds another model's outputs of run `run` to a judgement.
    pub(super) fn add(&self, judgement: &mut Judgement, run: usize, outputs: &[(String, DeviceTensor)]) {
        let Some(own) = self.runs.get(run) else { return };
        let mut after = values_of(outputs);
        // What is made before the nodes that were run is the original's.
        let made_before = |o: &&OutputValues| !outputs.iter().any(|(name, _)| *name == o.name);
        after.extend(own.outputs.iter().filter(made_before).cloned());
        let (mut sum, mut weights) = (0.0, 0.0);
        for head in &self.heads {
            sum += head.weight * head.distance(own, &after);
            weights += head.weight;
            if let Some((same, rows)) = head.same_classes(own, &after) {
                judgement.same += same;
                judgement.rows += rows;
            }
        }
        judgement.sum += own.samples as f64 * sum / weights;
        judgement.samples += own.samples;
    }

    /// What every output is compared as, in words.
    pub fn told(&self) -> BTreeMap<String, String> {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        for head in &self.heads {
            for name in &head.outputs {
                let text = told.entry(name.clone()).or_default();
                let and = if text.is_empty() { "" } else { "; " };
                *text = format!("{text}{and}{}", head.text());
            }
        }
        for output in self.runs.iter().flat_map(|r| &r.outputs) {
            told.entry(output.name.clone()).or_insert_with(|| "left out".to_owned());
        }
        told
    }
}

/// The values of outputs.
fn values_of(outputs: &[(String, DeviceTensor)]) -> Vec<OutputValues> {
    let all = outputs.iter();
    all.filter_map(|(name, held)| OutputValues::of_device(name, held))
        .collect()
}

#[cfg(test)]
mod tests;
