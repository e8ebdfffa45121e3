//! How much each value of a detector's outputs counts, by what the detector says there.

use super::boxes::Rect;
use super::dense::{Rows, Table, table};
use super::layout::{DetectLayout, LayoutKind};
use crate::task::output_values::OutputValues;

/// By how much values are moved to see how far boxes move.
const MOVED: f32 = 1e-2;

/// A number for each value of one output of one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// How much a value counts as a score: 1 for scores and objectness, the objectness of the place for the classes beside it, 0 for all that is no score.
    pub scores: Vec<f32>,
    /// The mean square of what a box's corners move by for each unit of the value, in sizes of the box, times the square of the best score there
    /// where that is near one that counts; 0 for scores.
    pub boxes: Vec<f32>,
}

impl DetectLayout {
    /// Of each of its outputs, for sample `k` of `samples`; `None` for a layout that selects, or where an output is missing.
    pub fn counts(&self, outputs: &[OutputValues], k: usize, samples: usize) -> Option<Vec<Counts>> {
        let mut own: Vec<OutputValues> = Vec::new();
        for name in &self.outputs {
            let output = outputs.iter().find(|o| o.name == *name)?;
            let mut dims = vec![1];
            dims.extend(output.sample_dims(samples));
            own.push(OutputValues {
                name: name.clone(),
                dims,
                values: output.sample(k, samples).to_vec(),
                float: true,
            });
        }
        let rows = Rows::read(self, &own, 0, 1)?;
        let best = rows.best();
        let (mut all, mut from) = (Vec::new(), 0);
        for i in 0..own.len() {
            let own_table = table(own.get(i)?, self.attributes_first, 0, 1)?;
            let (places, attributes) = (own_table.places, own_table.attributes);
            let mut counts = Counts {
                scores: self.score_counts(&own, i)?,
                boxes: vec![0.0; own_table.values.len()],
            };
            let index: Vec<Vec<usize>> = (0..attributes)
                .map(|a| (0..places).map(|p| own_table.index(p, a)).collect())
                .collect();
            for at in &index {
                if at.iter().any(|&v| counts.scores.get(v).is_some_and(|&s| s > 0.0)) {
                    continue;
                }
                let output = own.get_mut(i)?;
                let before = output.values.clone();
                at.iter()
                    .for_each(|&v| output.values.iter_mut().skip(v).take(1).for_each(|x| *x += MOVED));
                let moved = Rows::read(self, &own, 0, 1)?;
                own.get_mut(i)?.values = before;
                for (p, &v) in at.iter().enumerate() {
                    let pair = rows.boxes.get(from + p).zip(moved.boxes.get(from + p));
                    let Some(((a, b), &score)) = pair.zip(best.get(from + p)) else {
                        continue;
                    };
                    if score < THERE * self.score {
                        continue;
                    }
                    let count = score * score * moves(a, b);
                    counts.boxes.iter_mut().skip(v).take(1).for_each(|c| *c = count);
                }
            }
            all.push(counts);
            // Outputs of other strides speak of places of their own.
            if matches!(self.kind, LayoutKind::Strides(_)) && i % 3 == 2 {
                from += places;
            }
        }
        Some(all)
    }

    /// How much the values of output `i` count as scores.
    fn score_counts(&self, outputs: &[OutputValues], i: usize) -> Option<Vec<f32>> {
        let of = |i: usize| table(outputs.get(i)?, self.attributes_first, 0, 1);
        let own = of(i)?;
        let mut counts = vec![0.0; own.values.len()];
        let mut fill = |attribute: usize, count: &dyn Fn(usize) -> f32| {
            for place in 0..own.places {
                let at = own.index(place, attribute);
                counts.iter_mut().skip(at).take(1).for_each(|c| *c = count(place));
            }
        };
        let objectness = |table: &Table, place: usize, attribute: usize| {
            let value = table.at(place, attribute);
            let share = if self.logits {
                1.0 / (1.0 + (-value).exp())
            } else {
                value
            };
            share.clamp(0.0, 1.0).powi(2).max(LEAST)
        };
        match &self.kind {
            LayoutKind::Objectness | LayoutKind::Cells(_) | LayoutKind::Map => {
                let object = if self.kind == LayoutKind::Map { 0 } else { 4 };
                fill(object, &|_| 1.0);
                (0..self.classes).for_each(|c| fill(5 + c, &|place| objectness(&own, place, object)));
            }
            LayoutKind::ClassScores => (0..self.classes).for_each(|c| fill(4 + c, &|_| 1.0)),
            LayoutKind::Distances(..) => (0..self.classes).for_each(|c| fill(c, &|_| 1.0)),
            LayoutKind::Pair { background, .. } if i == 0 => {
                (0..self.classes).for_each(|c| fill(c + usize::from(*background), &|_| 1.0));
            }
            LayoutKind::Strides(_) if i.is_multiple_of(3) => {
                let objects = of(i + 1)?;
                (0..own.attributes).for_each(|c| fill(c, &|place| objectness(&objects, place, 0)));
            }
            LayoutKind::Strides(_) if i % 3 == 1 => fill(0, &|_| 1.0),
            LayoutKind::Pair { .. } | LayoutKind::Strides(_) => {}
            LayoutKind::Selected(_) | LayoutKind::Ragged { .. } => return None,
        }
        Some(counts)
    }
}

/// Classes count by so much at least.
const LEAST: f32 = 1e-3;

/// Boxes count where the best score is so much of the one above which a detection counts.
const THERE: f32 = 0.5;

/// The mean square of what the corners of a box moved by, in its sizes, for each unit of what moved them.
fn moves(before: &Rect, after: &Rect) -> f32 {
    let (width, height) = (before.width().max(1.0), before.height().max(1.0));
    let across = [before.x1 - after.x1, before.x2 - after.x2].map(|d| d / width);
    let down = [before.y1 - after.y1, before.y2 - after.y2].map(|d| d / height);
    let squares: f32 = across.iter().chain(&down).map(|d| d * d).sum();
    let mean = squares / 4.0 / (MOVED * MOVED);
    if mean.is_finite() { mean } else { 0.0 }
}
