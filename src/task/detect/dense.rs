//! What a detector says at every place, decoded.

use super::boxes::Rect;
use super::grid::Grid;
use super::layout::{Boxes, DetectLayout, LayoutKind};
use crate::task::output_values::OutputValues;

/// Scores and boxes of all places of one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Classes.
    pub classes: usize,
    /// Scores, 0 to 1: places × classes.
    pub scores: Vec<f32>,
    /// The boxes of the places.
    pub boxes: Vec<Rect>,
}

/// An output of one sample as a table of places and attributes.
pub(super) struct Table<'v> {
    pub values: &'v [f32],
    pub places: usize,
    pub attributes: usize,
    attributes_first: bool,
}

impl Table<'_> {
    /// Where the value of a place's attribute stands.
    pub fn index(&self, place: usize, attribute: usize) -> usize {
        match self.attributes_first {
            true => attribute * self.places + place,
            false => place * self.attributes + attribute,
        }
    }

    /// The value of a place's attribute.
    pub fn at(&self, place: usize, attribute: usize) -> f32 {
        let at = self.index(place, attribute);
        self.values.get(at).copied().unwrap_or(0.0)
    }
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

impl Rows {
    /// Reads sample `k` of `samples` of a layout that writes all places; `None` for one that selects, or where an output is missing.
    pub fn read(layout: &DetectLayout, outputs: &[OutputValues], k: usize, samples: usize) -> Option<Self> {
        let tables: Vec<Table> = layout
            .outputs
            .iter()
            .map(|name| {
                let output = outputs.iter().find(|o| o.name == *name)?;
                table(output, layout.attributes_first, k, samples)
            })
            .collect::<Option<_>>()?;
        let first = tables.first()?;
        let mut rows = Self {
            classes: layout.classes,
            ..Self::default()
        };
        let score = |v: f32| if layout.logits { sigmoid(v) } else { v };
        match &layout.kind {
            LayoutKind::Objectness => rows.fill(
                first.places,
                |p, c| score(first.at(p, 4)) * score(first.at(p, 5 + c)),
                |p| Rect::centered(first.at(p, 0), first.at(p, 1), first.at(p, 2), first.at(p, 3)),
            ),
            LayoutKind::ClassScores => rows.fill(
                first.places,
                |p, c| score(first.at(p, 4 + c)),
                |p| Rect::centered(first.at(p, 0), first.at(p, 1), first.at(p, 2), first.at(p, 3)),
            ),
            LayoutKind::Cells(grid) => {
                let cells = grid.cells();
                let score = |p: usize, c: usize| score(first.at(p, 4)) * score(first.at(p, 5 + c));
                rows.fill(first.places.min(cells.len()), score, |p| {
                    let at = |a: usize| first.at(p, a);
                    let cell = cells[p];
                    in_cell(cell, [at(0), at(1), at(2), at(3)])
                });
            }
            LayoutKind::Distances(grid, bins) => {
                let cells = grid.cells();
                let classes = layout.classes;
                rows.fill(
                    first.places.min(cells.len()),
                    |p, c| score(first.at(p, c)),
                    |p| {
                        let side =
                            |s: usize| cells[p].stride * expected(*bins, |b| first.at(p, classes + s * bins + b));
                        let (x, y) = (cells[p].x * cells[p].stride, cells[p].y * cells[p].stride);
                        Rect::corners(x - side(0), y - side(1), x + side(2), y + side(3))
                    },
                );
            }
            LayoutKind::Pair { boxes, background } => {
                let at = tables.get(1)?;
                let skipped = usize::from(*background);
                rows.fill(
                    first.places.min(at.places),
                    |p, c| score(first.at(p, c + skipped)),
                    |p| rect(*boxes, [at.at(p, 0), at.at(p, 1), at.at(p, 2), at.at(p, 3)]),
                );
            }
            LayoutKind::Strides(grid) => rows.fill_strides(grid, &tables, score),
            LayoutKind::Map => {
                let dims = outputs
                    .iter()
                    .find(|o| o.name == layout.outputs[0])?
                    .sample_dims(samples)
                    .to_vec();
                let (height, width) = (dims.get(1).copied()?, dims.get(2).copied()?);
                rows.fill(
                    first.places,
                    |p, c| first.at(p, 0).max(0.0).powf(0.6) * first.at(p, 5 + c).max(0.0).powf(0.4),
                    |p| {
                        let (x, y) = ((p % width) as f32, (p / width) as f32);
                        Rect::centered(
                            (x + first.at(p, 1).tanh()) / width as f32,
                            (y + first.at(p, 2).tanh()) / height as f32,
                            sigmoid(first.at(p, 3)),
                            sigmoid(first.at(p, 4)),
                        )
                    },
                );
            }
            LayoutKind::Selected(_) | LayoutKind::Ragged { .. } => return None,
        }
        rows.boxes.iter_mut().for_each(|b| *b = b.scaled(layout.scale));
        Some(rows)
    }

    fn fill(&mut self, places: usize, score: impl Fn(usize, usize) -> f32, rect: impl Fn(usize) -> Rect) {
        for place in 0..places {
            let classes = self.classes;
            self.scores.extend((0..classes).map(|c| score(place, c)));
            self.boxes.push(rect(place));
        }
    }

    /// Tables in the order class scores, objectness, boxes for each stride; the score is the geometric mean of both.
    fn fill_strides(&mut self, grid: &Grid, tables: &[Table], score: impl Fn(f32) -> f32) {
        for (&stride, tables) in grid.strides.iter().zip(tables.chunks_exact(3)) {
            let own = Grid {
                strides: vec![stride],
                input: grid.input,
            };
            let cells = own.cells();
            let (classes, objects, boxes) = (&tables[0], &tables[1], &tables[2]);
            let both = |p: usize, c: usize| {
                let share = |v: f32| score(v).clamp(0.0, 1.0);
                (share(classes.at(p, c)) * share(objects.at(p, 0))).sqrt()
            };
            self.fill(boxes.places.min(cells.len()), both, |p| {
                let at = |a: usize| boxes.at(p, a);
                in_cell(cells[p], [at(0), at(1), at(2), at(3)])
            });
        }
    }

    /// The greatest score of each place.
    pub fn best(&self) -> Vec<f32> {
        let most = |row: &[f32]| row.iter().copied().fold(0.0, f32::max);
        self.scores.chunks_exact(self.classes.max(1)).map(most).collect()
    }
}

/// An offset to a cell's corner in cells, and the logarithm of the size in cells.
fn in_cell(cell: super::grid::Cell, [x, y, width, height]: [f32; 4]) -> Rect {
    let s = cell.stride;
    Rect::centered((cell.x + x) * s, (cell.y + y) * s, width.exp() * s, height.exp() * s)
}

/// A box as an output writes it.
pub(super) fn rect(boxes: Boxes, [a, b, c, d]: [f32; 4]) -> Rect {
    match boxes {
        Boxes::Corners => Rect::corners(a, b, c, d),
        Boxes::Centered => Rect::centered(a, b, c, d),
    }
}

/// The mean of the bins' numbers under the softmax of their values.
fn expected(bins: usize, value: impl Fn(usize) -> f32) -> f32 {
    let most = (0..bins).map(&value).fold(f32::NEG_INFINITY, f32::max);
    let weights = (0..bins).map(|b| (value(b) - most).exp());
    let (mut sum, mut mean) = (0.0, 0.0);
    for (b, weight) in weights.enumerate() {
        sum += weight;
        mean += weight * b as f32;
    }
    mean / sum
}

/// Sample `k` of an output, its shape brought to places and attributes.
pub(super) fn table(output: &OutputValues, attributes_first: bool, k: usize, samples: usize) -> Option<Table<'_>> {
    let dims: Vec<usize> = output.sample_dims(samples).to_vec();
    let (attributes, places) = match (dims.as_slice(), attributes_first) {
        ([places], false) => (1, *places),
        ([attributes, rest @ ..], true) => (*attributes, rest.iter().product()),
        ([rest @ .., attributes], false) => (*attributes, rest.iter().product()),
        ([], _) => return None,
    };
    Some(Table {
        values: output.sample(k, samples),
        places,
        attributes,
        attributes_first,
    })
}
