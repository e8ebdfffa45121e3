//! Layouts of detectors' outputs.

use super::grid::Grid;

/// How the four numbers of a box are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boxes {
    /// Left, top, right, bottom.
    Corners,
    /// Centre and size.
    Centered,
}

/// How a detector writes what it finds.
#[derive(Clone, Debug, PartialEq)]
pub enum LayoutKind {
    /// One output of places with box, objectness and class scores: YOLOv5, YOLOv7, and YOLOX with its boxes decoded.
    Objectness,
    /// One output of places with box and class scores: YOLOv8, YOLOv9, YOLO11.
    ClassScores,
    /// As [`Self::Objectness`]; boxes are offsets to cells of grids, and logarithms of sizes (YOLOX).
    Cells(Grid),
    /// One output of places with class scores and distributions of the distances to the four sides (NanoDet), so many bins each.
    Distances(Grid, usize),
    /// One output of boxes, scores and classes that are selected already: YOLOv10, YOLO26, `N×K×6`.
    Selected(Boxes),
    /// Two outputs, class scores and boxes of equally many places (SSD and its kin with boxes decoded); the first class may be the
    /// background.
    Pair {
        /// How boxes are written.
        boxes: Boxes,
        /// Whether class 0 is the background.
        background: bool,
    },
    /// Outputs for each stride: class scores, objectness and boxes as offsets to cells and logarithms of sizes (YuNet).
    Strides(Grid),
    /// One map of objectness, box and class scores (FastestDet).
    Map,
    /// Outputs of boxes, scores and classes that the graph selected: their length depends on the image.
    Ragged {
        /// How boxes are written.
        boxes: Boxes,
    },
}

/// What a detector's outputs hold.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectLayout {
    /// The layout.
    pub kind: LayoutKind,
    /// Its name for people.
    pub name: &'static str,
    /// The outputs that it reads, in the order of the kind: see [`super::Rows::read`].
    pub outputs: Vec<String>,
    /// Classes.
    pub classes: usize,
    /// Whether places stand behind their attributes: `N×(4+C)×places`.
    pub attributes_first: bool,
    /// Whether scores are logits.
    pub logits: bool,
    /// The score above which a detection counts, as the layout's own projects have it.
    pub score: f32,
    /// What x and y of boxes are multiplied by to become pixels of the input.
    pub scale: (f32, f32),
    /// The overlap that suppression allows; `None` where the graph has suppressed.
    pub suppression: Option<f64>,
}

impl DetectLayout {
    /// Whether it writes every place, so that places can be compared one by one.
    pub fn is_dense(&self) -> bool {
        !matches!(self.kind, LayoutKind::Selected(_) | LayoutKind::Ragged { .. })
    }

    /// The outputs that hold scores, and those that hold boxes; the same where one holds both.
    pub fn score_and_box_outputs(&self) -> (Vec<String>, Vec<String>) {
        let every = |k: usize, of: usize| self.outputs.iter().skip(k).step_by(of).cloned();
        match self.kind {
            LayoutKind::Pair { .. } => (every(0, 2).collect(), every(1, 2).collect()),
            LayoutKind::Strides(_) => (every(0, 3).chain(every(1, 3)).collect(), every(2, 3).collect()),
            _ => (self.outputs.clone(), self.outputs.clone()),
        }
    }

    /// The first of its `all` places that another output of `places` rows speaks of; `None` where it speaks of others.
    pub fn first_place(&self, places: usize, all: usize) -> Option<usize> {
        if places == all {
            return Some(0);
        }
        let LayoutKind::Strides(grid) = &self.kind else {
            return None;
        };
        let mut from = 0;
        for &stride in &grid.strides {
            let own = Grid {
                strides: vec![stride],
                input: grid.input,
            };
            if own.count() == places {
                return Some(from);
            }
            from += own.count();
        }
        None
    }
}
