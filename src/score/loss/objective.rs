//! What outputs are compared as, as a sum that has a gradient.

use std::collections::BTreeMap;

use super::Reference;
use super::classes::Form;
use super::columns::{Activation, Axis, Spread};
use super::head::{Compare, Head, JudgedRun};

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
}

impl Reference {
    /// The outputs whose values can be compared place by place. Detections, vectors and shares, which are judged by what they mean, are compared as
    /// numbers here; outputs of whole numbers, and those whose sizes differ from run to run, are left out.
    pub fn objectives(&self) -> Vec<Objective> {
        let mut found: BTreeMap<&str, Objective> = BTreeMap::new();
        for head in self.heads.iter().filter(|h| h.weight > 0.0) {
            for output in &head.outputs {
                if let Some(kind) = kind(head, output, &self.runs) {
                    let objective = Objective {
                        output: output.clone(),
                        weight: head.weight,
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

fn kind(head: &Head, output: &str, runs: &[JudgedRun]) -> Option<ObjectiveKind> {
    let values = || runs.iter().map(|r| r.outputs.iter().find(|o| o.name == output));
    let first = values().next()??;
    match &head.how {
        Compare::Classes(rows) => Some(ObjectiveKind::Classes {
            classes: rows.classes,
            temperature: rows.temperature,
            logits: rows.form == Form::Logits,
        }),
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
