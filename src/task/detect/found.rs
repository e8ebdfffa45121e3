//! Detections from a detector's outputs.

use super::boxes::Detection;
use super::dense::{Rows, rect};
use super::layout::{DetectLayout, LayoutKind};
use super::nms::non_maximum_suppression;
use crate::task::output_values::OutputValues;

/// Detections with lower scores are left out: none of them changes a precision that is looked at.
pub(super) const LEAST: f32 = 0.01;

impl DetectLayout {
    /// What is found in sample `k` of `samples`, in the order of scores, suppressed where the graph does not do that.
    pub fn found(&self, outputs: &[OutputValues], k: usize, samples: usize) -> Vec<Detection> {
        let mut found = match &self.kind {
            LayoutKind::Selected(boxes) => {
                let Some(output) = outputs.iter().find(|o| Some(&o.name) == self.outputs.first()) else {
                    return Vec::new();
                };
                let of = |row: &[f32]| Detection {
                    class: class_number(row[5]),
                    score: row[4],
                    rect: rect(*boxes, [row[0], row[1], row[2], row[3]]).scaled(self.scale),
                };
                output.sample(k, samples).chunks_exact(6).map(of).collect()
            }
            LayoutKind::Ragged { boxes } => {
                self.ragged(outputs, k, samples, |four| rect(*boxes, four).scaled(self.scale))
            }
            _ => Rows::read(self, outputs, k, samples).map_or_else(Vec::new, |rows| rows.detections()),
        };
        found.retain(|d| d.score >= LEAST);
        match self.suppression {
            Some(iou) => non_maximum_suppression(found, iou),
            None => {
                found.retain(|d| d.rect.is_finite());
                found.sort_by(|a, b| b.score.total_cmp(&a.score));
                found
            }
        }
    }

    /// Outputs in the order boxes, scores, classes (there may be none).
    fn ragged(
        &self,
        outputs: &[OutputValues],
        k: usize,
        samples: usize,
        rect: impl Fn([f32; 4]) -> super::boxes::Rect,
    ) -> Vec<Detection> {
        let part = |i: usize| {
            let name = self.outputs.get(i)?;
            let output = outputs.iter().find(|o| o.name == *name)?;
            Some(output.sample(k, samples))
        };
        let (Some(boxes), Some(scores)) = (part(0), part(1)) else {
            return Vec::new();
        };
        let classes = part(2);
        let all = boxes.chunks_exact(4).zip(scores).enumerate();
        all.map(|(i, (b, &score))| Detection {
            class: classes.and_then(|c| c.get(i)).map_or(0, |&c| class_number(c)),
            score,
            rect: rect([b[0], b[1], b[2], b[3]]),
        })
        .collect()
    }
}

impl Rows {
    /// A detection for every place and class with a score.
    fn detections(&self) -> Vec<Detection> {
        let mut found = Vec::new();
        for (rect, row) in self.boxes.iter().zip(self.scores.chunks_exact(self.classes.max(1))) {
            for (class, &score) in row.iter().enumerate().filter(|(_, s)| **s >= LEAST) {
                found.push(Detection {
                    class,
                    score,
                    rect: *rect,
                });
            }
        }
        found
    }
}

/// A class written as a float.
fn class_number(v: f32) -> usize {
    v.round().max(0.0) as usize
}
