//! What a detector is taught by: every score, and the boxes where something is.

use rayon::prelude::*;

use super::detections::BOX_ERROR;
use super::head::{Compare, Head, JudgedRun};
use crate::task::{DetectLayout, OutputValues};

/// How much each value of one output counts, as a score and as a part of a box.
pub(super) type Counted = [Vec<f32>; 2];

/// A detector's layout, and how much scores and boxes count.
#[derive(Clone, Debug, PartialEq)]
pub struct TaughtDetections {
    layout: DetectLayout,
    /// What the sum of the errors of a sample's scores is multiplied by, and that of its boxes.
    factors: [f64; 2],
    /// Whether scores are logits; else they are shares.
    pub logits: bool,
}

impl TaughtDetections {
    /// For a layout whose heads compare scores and boxes.
    pub(super) fn of(layout: &DetectLayout, heads: &[Head], runs: &[JudgedRun]) -> Self {
        let (mut scores, mut boxes) = (0.0, 0.0);
        for head in heads {
            match head.how {
                Compare::Scores(_, energy) => scores = head.weight / energy,
                Compare::Boxes(_) => boxes = head.weight,
                _ => {}
            }
        }
        let samples: f64 = runs.iter().map(|r| r.weights.len() as f64).sum();
        let there: f64 = runs.iter().flat_map(|r| &r.weights).flatten().sum();
        let per_sample = (there / samples.max(1.0)).max(1e-9);
        Self {
            layout: layout.clone(),
            factors: [scores, boxes / BOX_ERROR / per_sample],
            logits: layout.logits,
        }
    }

    /// The outputs of its layout.
    pub(super) fn outputs(&self) -> &[String] {
        &self.layout.outputs
    }

    /// How much each value of its outputs counts, by what the original makes of the same `samples`; `None` where an output is missing.
    pub(super) fn counts(&self, made: &[OutputValues], samples: usize) -> Option<Vec<Counted>> {
        let [scores, boxes] = self.factors.map(|factor| (factor / samples.max(1) as f64) as f32);
        let mut all: Vec<Counted> = vec![Counted::default(); self.layout.outputs.len()];
        let each = (0..samples)
            .into_par_iter()
            .map(|k| self.layout.counts(made, k, samples));
        for counts in each.collect::<Option<Vec<_>>>()? {
            for ([as_scores, as_boxes], own) in all.iter_mut().zip(counts) {
                as_scores.extend(own.scores.iter().map(|c| c * scores));
                as_boxes.extend(own.boxes.iter().map(|c| c * boxes));
            }
        }
        Some(all)
    }
}
