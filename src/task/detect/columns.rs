//! What a layout is recognized from: the columns of outputs.

use super::grid::Grid;
use crate::task::output_values::OutputValues;

/// What a layout is recognized from.
#[derive(Clone, Copy, Debug)]
pub struct Given<'o> {
    /// The original's outputs on some samples.
    pub outputs: &'o [OutputValues],
    /// How many samples these are.
    pub samples: usize,
    /// Height and width of the model's image.
    pub image: (usize, usize),
}

/// The columns of an output of places and attributes, over all samples.
pub(super) struct Columns<'o> {
    pub output: &'o OutputValues,
    pub places: usize,
    pub attributes: usize,
    pub attributes_first: bool,
}

impl<'o> Columns<'o> {
    /// Of an output `samples × places × attributes`, or with the last two in the other order where there are more of the last.
    pub fn of(output: &'o OutputValues, samples: usize) -> Option<Self> {
        let &[n, a, b] = output.dims.as_slice() else {
            return None;
        };
        let attributes_first = a < b;
        let (places, attributes) = if attributes_first { (b, a) } else { (a, b) };
        (n == samples && output.float).then_some(Self {
            output,
            places,
            attributes,
            attributes_first,
        })
    }

    /// The values of a column.
    pub fn column(&self, attribute: usize) -> impl Iterator<Item = f32> + '_ {
        let each = (self.places * self.attributes).max(1);
        let at = move |place: usize| match self.attributes_first {
            true => attribute * self.places + place,
            false => place * self.attributes + attribute,
        };
        let samples = self.output.values.chunks_exact(each);
        samples.flat_map(move |sample| (0..self.places).map(move |p| sample[at(p)]))
    }

    /// Whether all values of a column are shares.
    pub fn is_share(&self, attribute: usize) -> bool {
        self.column(attribute).all(|v| (-1e-4..=1.0 + 1e-4).contains(&v))
    }

    /// The share of places whose values in two columns are in order.
    pub fn in_order(&self, less: usize, more: usize) -> f64 {
        let (mut yes, mut all) = (0_usize, 0_usize);
        for (a, b) in self.column(less).zip(self.column(more)) {
            yes += usize::from(a < b);
            all += 1;
        }
        yes as f64 / all.max(1) as f64
    }

    /// The share of places whose size in two columns is positive.
    pub fn positive(&self, attribute: usize) -> f64 {
        let (mut yes, mut all) = (0_usize, 0_usize);
        for v in self.column(attribute) {
            yes += usize::from(v > 0.0);
            all += 1;
        }
        yes as f64 / all.max(1) as f64
    }

    /// The greatest absolute value of a column.
    pub fn largest(&self, attribute: usize) -> f32 {
        self.column(attribute).fold(0.0, |m, v| m.max(v.abs()))
    }
}

/// What boxes are multiplied by to become pixels: shares of the image are no larger than a few, pixels are.
pub(super) fn scale_of(columns: &Columns, first: usize, image: (usize, usize)) -> (f32, f32) {
    let largest = (first..first + 4).map(|a| columns.largest(a)).fold(0.0, f32::max);
    match largest <= 4.0 {
        true => (image.1 as f32, image.0 as f32),
        false => (1.0, 1.0),
    }
}

/// Share of places that must hold what a layout promises.
pub(super) const NEARLY_ALL: f64 = 0.97;

/// A place's centre this many cells from its own is near it.
const CELLS: f32 = 3.0;

impl Columns<'_> {
    /// Whether the first two columns may be centres of decoded boxes: in pixels they lie within the image, in shares of it near the places'
    /// own cells. Shares alone tell nothing, as all columns of a softmax are shares too.
    pub fn may_be_centers(&self, grid: Option<&Grid>, image: (usize, usize)) -> bool {
        if scale_of(self, 0, image) != (1.0, 1.0) {
            return grid.is_some_and(|g| self.are_centers(g, image));
        }
        let within = |v: f32, extent: usize| v > 0.02 * extent as f32 && v < 0.98 * extent as f32;
        let (mut yes, mut all) = (0_usize, 0_usize);
        for (x, y) in self.column(0).zip(self.column(1)) {
            yes += usize::from(within(x, image.1) && within(y, image.0));
            all += 1;
        }
        2 * yes > all
    }

    /// Whether the first two columns are centres in pixels of the places' own cells (or in shares of the image), as decoded boxes have
    /// them; else they are offsets to the cells.
    pub fn are_centers(&self, grid: &Grid, image: (usize, usize)) -> bool {
        let cells = grid.cells();
        let scale = scale_of(self, 0, image);
        let (mut near, mut all) = (0_usize, 0_usize);
        let centers = self.column(0).zip(self.column(1));
        for ((x, y), cell) in centers.zip(cells.iter().cycle()) {
            let off = |v: f32, scale: f32, at: f32| (v * scale / cell.stride - at - 0.5).abs() <= CELLS;
            // Cells at the corner tell nothing: offsets are centres there.
            if cell.x.max(cell.y) < 2.0 * CELLS {
                continue;
            }
            near += usize::from(off(x, scale.0, cell.x) && off(y, scale.1, cell.y));
            all += 1;
        }
        2 * near > all
    }
}
