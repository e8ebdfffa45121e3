//! What outputs are compared as, as a sum that has a gradient.

use std::collections::BTreeMap;

use crate::device::NamedTensor;
use crate::onnx::Tensor;
use crate::task::OutputValues;

use super::Reference;
use super::classes::Form;
use super::columns::{Activation, Axis, Spread};
use super::head::{Compare, Head, JudgedRun};
use super::taught_detections::TaughtDetections;

/// One output in a loss that gradients are taken of.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The output.
    pub output: String,
    /// Its share of the loss.
    pub weight: f64,
    /// How it is compared.
    pub kind: ObjectiveKind,
}

/// How an output is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectiveKind {
    /// The divergence of rows of classes, which stand last, at a temperature, times its square.
    Classes {
        /// Classes of a row.
        classes: usize,
        /// The temperature.
        temperature: f64,
        /// Whether values are logits; else they are probabilities.
        logits: bool,
    },
    /// Squared errors over variances, column by column.
    Numbers {
        /// Values between one column and the next.
        inner: usize,
        /// The variance of each column.
        variances: Vec<f64>,
    },
    /// Scores and boxes of a detector, value by value: see [`TaughtDetections`].
    Detections(TaughtDetections),
}

impl Objective {
    /// Names under which values of an output count, as scores and as parts of boxes.
    pub fn counted(output: &str) -> [String; 2] {
        [format!("{output}/scores"), format!("{output}/boxes")]
    }

    /// How much each value of a detector's outputs counts, under the names of [`Self::counted`]; `made` is what the original makes of `samples` samples.
    /// Empty where no objective is a detector's, or an output is missing.
    pub fn counts(objectives: &[Self], made: &[NamedTensor], samples: usize) -> Vec<NamedTensor> {
        let taught = objectives.iter().find_map(|o| match &o.kind {
            ObjectiveKind::Detections(taught) => Some(taught),
            _ => None,
        });
        let counts = taught.and_then(|t| Some((t, t.counts(&OutputValues::all(made), samples)?)));
        let Some((taught, counts)) = counts else {
            return Vec::new();
        };
        let mut named = Vec::new();
        for (output, values) in taught.outputs().iter().zip(&counts) {
            let dims = made.iter().find(|(name, _)| name == output).map(|(_, t)| &t.dims);
            for (name, values) in Self::counted(output).into_iter().zip(values) {
                named.extend(dims.map(|dims| (name, Tensor::from_f32(dims.clone(), values))));
            }
        }
        named
    }

    /// Whether how much a value counts hangs on what the original makes of the sample.
    pub fn counts_values(&self) -> bool {
        matches!(self.kind, ObjectiveKind::Detections(_))
    }

    /// Whether the output has answers at many places of a sample: a map, or a detector's.
    pub fn has_places(&self) -> bool {
        match &self.kind {
            ObjectiveKind::Numbers { inner, .. } => *inner > 1,
            ObjectiveKind::Detections(_) => true,
            ObjectiveKind::Classes { .. } => false,
        }
    }
}

impl Reference {
    /// The outputs whose values can be compared place by place. Vectors and shares, which are judged by what they mean, are compared as
    /// numbers here; outputs of whole numbers, and those whose sizes differ from run to run, are left out.
    pub fn objectives(&self) -> Vec<Objective> {
        let mut found: BTreeMap<&str, Objective> = BTreeMap::new();
        for head in self.heads.iter().filter(|h| h.weight > 0.0) {
            for output in &head.outputs {
                if let Some(kind) = kind(head, output, &self.heads, &self.runs) {
                    let objective = Objective {
                        output: output.clone(),
                        // Those of detections are in what each value counts.
                        weight: if matches!(kind, ObjectiveKind::Detections(_)) {
                            1.0
                        } else {
                            head.weight
                        },
                        kind,
                    };
                    found.entry(output).or_insert(objective);
                }
            }
        }
        let mut all: Vec<Objective> = found.into_values().collect();
        let sum: f64 = all.iter().map(|o| o.weight).sum();
        all.iter_mut().for_each(|o| o.weight /= sum.max(1e-12));
        all
    }
}

fn kind(head: &Head, output: &str, heads: &[Head], runs: &[JudgedRun]) -> Option<ObjectiveKind> {
    let values = || runs.iter().map(|r| r.outputs.iter().find(|o| o.name == output));
    let first = values().next()??;
    match &head.how {
        Compare::Classes(rows) => Some(ObjectiveKind::Classes {
            classes: rows.classes,
            temperature: rows.temperature,
            logits: rows.form == Form::Logits,
        }),
        Compare::Scores(layout, _) | Compare::Boxes(layout) if first.float => {
            Some(ObjectiveKind::Detections(TaughtDetections::of(layout, heads, runs)))
        }
        Compare::Whole | Compare::Ragged(_) | Compare::Selected(_) => None,
        Compare::Columns {
            axis,
            activation: Activation::None,
            variances,
            ..
        } => Some(ObjectiveKind::Numbers {
            inner: axis.inner,
            variances: variances.clone(),
        }),
        _ if first.float => {
            let samples = runs.first().map_or(1, |r| r.samples);
            let axis = Axis::of(&first.dims, samples);
            let (mut spread, mut rows) = (Spread::default(), 0);
            for output in values() {
                let output = output?;
                rows += output.values.len() / axis.count;
                spread.add(axis, &output.values, &|_| 1.0);
            }
            Some(ObjectiveKind::Numbers {
                inner: axis.inner,
                variances: spread.variances(rows),
            })
        }
        _ => None,
    }
}
