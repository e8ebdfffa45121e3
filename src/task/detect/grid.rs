//! The cells that places of a detector stand for.

/// Grids of several strides over an input, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The strides.
    pub strides: Vec<usize>,
    /// Height and width of the input.
    pub input: (usize, usize),
}

/// A cell of a grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Its column.
    pub x: f32,
    /// Its row.
    pub y: f32,
    /// Its stride.
    pub stride: f32,
}

/// Sets of strides that detectors have.
const STRIDES: [&[usize]; 5] = [
    &[8, 16, 32],
    &[8, 16, 32, 64],
    &[16, 32],
    &[8, 16, 32, 64, 128],
    &[4, 8, 16, 32],
];

impl Grid {
    /// Rows and columns at a stride.
    fn extent(&self, stride: usize) -> (usize, usize) {
        (self.input.0.div_ceil(stride), self.input.1.div_ceil(stride))
    }

    /// All cells, row by row.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &stride in &self.strides {
            let (rows, columns) = self.extent(stride);
            let of_row = |y: usize| {
                (0..columns).map(move |x| Cell {
                    x: x as f32,
                    y: y as f32,
                    stride: stride as f32,
                })
            };
            cells.extend((0..rows).flat_map(of_row));
        }
        cells
    }

    /// How many cells there are.
    pub fn count(&self) -> usize {
        let of = |&stride: &usize| {
            let (rows, columns) = self.extent(stride);
            rows * columns
        };
        self.strides.iter().map(of).sum()
    }

    /// The grid of usual strides whose cells, `anchors` in each, make so many places.
    pub fn of_places(places: usize, anchors: usize, input: (usize, usize)) -> Option<Self> {
        let grids = STRIDES.iter().map(|strides| Self {
            strides: strides.to_vec(),
            input,
        });
        grids.into_iter().find(|g| anchors * g.count() == places)
    }

    /// The stride at which a grid has so many cells.
    pub fn stride_of(cells: usize, input: (usize, usize)) -> Option<usize> {
        let of = |stride: &usize| input.0.div_ceil(*stride) * input.1.div_ceil(*stride) == cells;
        [4, 8, 16, 32, 64, 128].into_iter().find(of)
    }
}
