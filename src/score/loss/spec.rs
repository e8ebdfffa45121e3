//! What is asked of the losses of outputs.

use std::collections::BTreeMap;

use crate::task::{OutputValues, Reading, TaskKind};
use crate::{Error, Result};

/// How outputs are judged: as those of a task, with weights.
#[derive(Clone, Debug, Default)]
pub struct LossSpec {
    /// How outputs are read; `None`: tables are classes, all else is numbers.
    pub reading: Option<Reading>,
    /// How much outputs count, by name; 1 where none is given.
    pub weights: BTreeMap<String, f64>,
}

impl LossSpec {
    /// Checks that weights name outputs.
    ///
    /// # Errors
    /// When a name is none of the outputs', a weight is negative or no number, or all outputs are left out.
    pub fn new(reading: Reading, weights: &[(String, f64)], outputs: &[String]) -> Result<Self> {
        for (name, weight) in weights {
            if !outputs.contains(name) {
                return Err(Error::Usage(format!(
                    "the loss of output '{name}' was given a weight, and the model's outputs are '{}'",
                    outputs.join("', '")
                )));
            }
            if !weight.is_finite() || *weight < 0.0 {
                return Err(Error::Usage(format!(
                    "the weight of output '{name}' is {weight}: give a number from 0 on"
                )));
            }
        }
        let spec = Self {
            reading: Some(reading),
            weights: weights.iter().cloned().collect(),
        };
        if outputs.iter().all(|name| spec.weight(name) == 0.0) {
            return Err(Error::Usage(
                "all outputs have a weight of 0: nothing is left to judge a narrower model by".to_owned(),
            ));
        }
        Ok(spec)
    }

    /// How much an output counts.
    pub fn weight(&self, output: &str) -> f64 {
        self.weights.get(output).copied().unwrap_or(1.0)
    }

    pub(super) fn kind(&self) -> Option<TaskKind> {
        self.reading.as_ref().map(|r| r.kind)
    }

    /// Whether an output is a table of samples and classes.
    pub(super) fn is_classes(&self, output: &OutputValues, samples: usize) -> Option<usize> {
        let (rows, classes) = (
            output.dims.first().copied().unwrap_or(0),
            output.dims.get(1).copied().unwrap_or(0),
        );
        // Where the second axis carries the batch, it holds no classes.
        let batch_behind = classes == samples && rows != samples;
        let table = classes > 1 && !batch_behind && output.dims.iter().skip(2).all(|&d| d == 1);
        let wanted = matches!(self.kind(), None | Some(TaskKind::Classify));
        (wanted && output.float && table).then_some(classes)
    }
}
