//! How a model's outputs are read as answers.

use super::alphabet::{Alphabet, Letters};
use super::answers::Answer;
use super::best_class::best_class;
use super::detect::DetectLayout;
use super::kind::TaskKind;
use super::output_values::OutputValues;
use super::sequence::greedy;
use crate::data::Mask;

/// Which outputs hold the answers, and how they are written.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// A table of samples and classes.
    Classes {
        /// The output.
        output: String,
    },
    /// Boxes.
    Detections(DetectLayout),
    /// Values of classes at the places of a map.
    Maps {
        /// The output.
        output: String,
        /// Classes; 1: a share or a logit, which is in or out.
        classes: usize,
        /// Whether classes stand last.
        classes_last: bool,
        /// Whether it holds the classes themselves.
        chosen: bool,
        /// Whether values are logits.
        logits: bool,
    },
    /// A table of samples and vectors.
    Vectors {
        /// The output.
        output: String,
    },
    /// Values of classes at the steps of a sequence.
    Steps {
        /// The output.
        output: String,
        /// Whether steps stand before samples.
        steps_first: bool,
        /// The class that means nothing.
        blank: usize,
        /// Classes, with that one.
        classes: usize,
        /// The letters that they stand for, where the user tells them.
        letters: Option<Letters>,
    },
    /// Numbers of all outputs.
    Values,
}

/// How a model's outputs are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What the model is for.
    pub kind: TaskKind,
    /// Which outputs hold the answers.
    pub how: How,
    /// What it was recognized by.
    pub why: String,
    /// Whether the user named the task.
    pub given: bool,
}

impl Reading {
    pub(super) fn new(kind: TaskKind, how: How, why: String) -> Self {
        Self {
            kind,
            how,
            why,
            given: false,
        }
    }

    /// For people: `detect (YOLOX layout, recognized)`.
    pub fn text(&self) -> String {
        let by = if self.given { "given" } else { "recognized" };
        match self.why.as_str() {
            "" => format!("{} ({by})", self.kind),
            why => format!("{} ({why}, {by})", self.kind),
        }
    }

    /// The layout of a detector's outputs.
    pub fn layout(&self) -> Option<&DetectLayout> {
        match &self.how {
            How::Detections(layout) => Some(layout),
            _ => None,
        }
    }

    /// The letters of a sequence model's classes, where the user tells them.
    pub fn letters(&self) -> Option<&Letters> {
        match &self.how {
            How::Steps { letters, .. } => letters.as_ref(),
            _ => None,
        }
    }

    /// The same with the letters of a sequence model's classes.
    ///
    /// # Errors
    /// When the model is for something else, or has more or fewer classes.
    pub fn with_alphabet(mut self, alphabet: &Alphabet) -> Result<Self, String> {
        match &mut self.how {
            How::Steps {
                letters,
                classes,
                blank,
                ..
            } => *letters = Some(alphabet.of_classes(*classes, *blank)?),
            _ => {
                return Err(format!(
                    "an alphabet serves the task {}; this model's is {}",
                    TaskKind::Ctc,
                    self.kind
                ));
            }
        }
        Ok(self)
    }

    /// The answers of a run of `samples` samples, without those of the first `skipped`.
    pub fn answers(&self, outputs: &[OutputValues], samples: usize, skipped: usize) -> Vec<Answer> {
        (skipped..samples)
            .filter_map(|k| self.answer(outputs, k, samples))
            .collect()
    }

    fn answer(&self, outputs: &[OutputValues], k: usize, samples: usize) -> Option<Answer> {
        let named = |name: &String| outputs.iter().find(|o| o.name == *name);
        Some(match &self.how {
            How::Classes { output } => Answer::Class(best_class(named(output)?.sample(k, samples))),
            How::Detections(layout) => Answer::Boxes(layout.found(outputs, k, samples)),
            How::Vectors { output } => Answer::Vector(named(output)?.sample(k, samples).to_vec()),
            How::Steps {
                output,
                steps_first,
                blank,
                ..
            } => {
                let output = named(output)?;
                let classes = output.dims.last().copied().filter(|c| *c > 0)?;
                let all = output.values.chunks_exact(classes).map(best_class);
                let own: Vec<usize> = match steps_first {
                    true => all.skip(k).step_by(samples).collect(),
                    false => output
                        .sample(k, samples)
                        .chunks_exact(classes)
                        .map(best_class)
                        .collect(),
                };
                Answer::Text(greedy(own, *blank))
            }
            How::Maps {
                output,
                classes,
                classes_last,
                chosen,
                logits,
            } => {
                let output = named(output)?;
                let values = output.sample(k, samples);
                let dims = output.sample_dims(samples);
                let at = dims.len() - if *classes_last { 3 } else { 2 };
                let (height, width) = (*dims.get(at)?, *dims.get(at + 1)?);
                let places = height * width;
                let most = if *logits { 0.0 } else { 0.5 };
                let class = |p: usize| match (*chosen, *classes) {
                    (true, _) => values.get(p).map_or(0, |v| v.max(0.0) as u16),
                    (false, 1) => u16::from(values.get(p).is_some_and(|v| *v > most)),
                    (false, n) => {
                        let at = |c: usize| if *classes_last { p * n + c } else { c * places + p };
                        let better = |best: usize, c: usize| if values[at(c)] > values[at(best)] { c } else { best };
                        (1..n).fold(0, better) as u16
                    }
                };
                if !*chosen && values.len() < places * classes {
                    return None;
                }
                Answer::Map(Mask {
                    height,
                    width,
                    classes: (0..places).map(class).collect(),
                })
            }
            How::Values => {
                let all = outputs.iter().map(|o| spread(o.sample(k, samples)));
                Answer::Values(all.collect())
            }
        })
    }
}

/// Numbers of one output that are kept, at most.
const KEPT: usize = 1 << 14;

/// Some of many numbers, spread evenly.
fn spread(values: &[f32]) -> Vec<f32> {
    let kept = values.len().min(KEPT);
    (0..kept).map(|k| values[k * values.len() / kept]).collect()
}
