//! Second moments of rows, streamed: sums in float64 over products of float32 chunks.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use pulp::Arch;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::Result;
use crate::device::{Products, Rows};

/// Rows whose products are summed in float32 before they are added in float64.
const CHUNK: usize = 2048;
/// Matrices this small are multiplied by plain loops.
const SMALL: usize = 16;
/// Numbers of small matrices that are summed up at a time, which a core's nearest cache holds.
const AT_A_TIME: usize = 2048;
/// A device that multiplies faster is worth the way there from so many multiply-accumulates a number that is sent.
const WORTH_SENDING: usize = 256;

/// Adds Σ aᵀb over rows to the sum of each group (columns of `a` × columns of `b`); a row holds the columns of all groups, group by group.
///
/// # Errors
/// When `device` fails.
pub fn add_products(sums: &mut [Mat<f64>], a: &[f32], b: &[f32], device: Option<&dyn Products>) -> Result<()> {
    let Some((left, right)) = sums.first().map(|s| (s.nrows(), s.ncols())) else {
        return Ok(());
    };
    let (a_width, b_width) = (sums.len() * left, sums.len() * right);
    if a_width == 0 || b_width == 0 {
        return Ok(());
    }
    if left * right <= SMALL * SMALL {
        add_small(sums, a, b);
        return Ok(());
    }
    let sent = if std::ptr::eq(a, b) { a_width } else { a_width + b_width };
    let device = device.filter(|_| left * right >= WORTH_SENDING * sent);
    let chunk = if device.is_some() { 4 * CHUNK } else { CHUNK };
    let mut product: Mat<f32> = Mat::zeros(left, right);
    for (a, b) in a.chunks(chunk * a_width).zip(b.chunks(chunk * b_width)) {
        let count = (a.len() / a_width).min(b.len() / b_width);
        for (g, sum) in sums.iter_mut().enumerate() {
            let rows = |values, width, first, columns| Rows {
                values,
                width,
                first,
                columns,
            };
            if let Some(device) = device {
                let (x, y) = (rows(a, a_width, g * left, left), rows(b, b_width, g * right, right));
                let made = device.products(x, y, count)?;
                for (j, column) in made.chunks_exact(left).enumerate() {
                    let into = sum.col_mut(j).iter_mut().zip(column);
                    into.for_each(|(s, &v)| *s += f64::from(v));
                }
                continue;
            }
            let x = MatRef::from_row_major_slice(&a[..count * a_width], count, a_width).subcols(g * left, left);
            let y = MatRef::from_row_major_slice(&b[..count * b_width], count, b_width).subcols(g * right, right);
            matmul(
                product.as_mut(),
                Accum::Replace,
                x.transpose(),
                y,
                1.0f32,
                Par::rayon(0),
            );
            for j in 0..right {
                let into = sum.col_mut(j).iter_mut().zip(product.col(j).iter());
                into.for_each(|(s, &v)| *s += f64::from(v));
            }
        }
    }
    Ok(())
}

/// The same for small matrices, some groups at a time.
fn add_small(sums: &mut [Mat<f64>], a: &[f32], b: &[f32]) {
    let (groups, left, right) = (sums.len(), sums[0].nrows(), sums[0].ncols());
    let size = left * right;
    // As many parts as threads can share, however few groups there are.
    let at_a_time = (AT_A_TIME / size)
        .min(groups.div_ceil(2 * rayon::current_num_threads()))
        .max(1);
    sums.par_chunks_mut(at_a_time).enumerate().for_each(|(k, sums)| {
        let first = k * at_a_time;
        let mut found = vec![0.0f64; sums.len() * size];
        Arch::new().dispatch(|| {
            for (x, y) in a.chunks_exact(groups * left).zip(b.chunks_exact(groups * right)) {
                let (x, y) = (&x[first * left..], &y[first * right..]);
                match left {
                    // Depthwise layers of 3 × 3 and 5 × 5: lengths that are known make vectors of the loops.
                    9 => add_row::<9>(&mut found, x, y, right),
                    25 => add_row::<25>(&mut found, x, y, right),
                    _ => {
                        let own = x.chunks_exact(left).zip(y.chunks_exact(right));
                        for (into, (x, y)) in found.chunks_exact_mut(size).zip(own) {
                            for (column, &y) in into.chunks_exact_mut(left).zip(y) {
                                let y = f64::from(y);
                                column.iter_mut().zip(x).for_each(|(s, &x)| *s += f64::from(x) * y);
                            }
                        }
                    }
                }
            }
        });
        for (sum, found) in sums.iter_mut().zip(found.chunks_exact(size)) {
            for (j, column) in found.chunks_exact(left).enumerate() {
                sum.col_mut(j).iter_mut().zip(column).for_each(|(s, v)| *s += v);
            }
        }
    });
}

/// Adds a row's products to those of all groups of `LEFT` columns on the one side and `right` on the other.
#[inline(always)]
fn add_row<const LEFT: usize>(found: &mut [f64], x: &[f32], y: &[f32], right: usize) {
    let (found, _) = found.as_chunks_mut::<LEFT>();
    let (x, _) = x.as_chunks::<LEFT>();
    for ((columns, x), y) in found.chunks_exact_mut(right).zip(x).zip(y.chunks_exact(right)) {
        let x = x.map(f64::from);
        for (column, &y) in columns.iter_mut().zip(y) {
            let y = f64::from(y);
            for (s, x) in column.iter_mut().zip(&x) {
                *s += x * y;
            }
        }
    }
}

/// The sum of each column of rows of so many.
pub fn column_sums(rows: &[f32], width: usize) -> Vec<f64> {
    let of_chunk = |rows: &[f32]| {
        let mut found = vec![0.0f64; width];
        for row in rows.chunks_exact(width.max(1)) {
            found.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        found
    };
    let mut sums = vec![0.0f64; width];
    for found in rows.par_chunks(CHUNK * width.max(1)).map(of_chunk).collect::<Vec<_>>() {
        sums.iter_mut().zip(found).for_each(|(sum, v)| *sum += v);
    }
    sums
}

/// Means and covariances of a layer's input rows, one matrix a group.
#[derive(Clone, Debug)]
pub struct Moments {
    count: f64,
    sums: Vec<f64>,
    products: Vec<Mat<f64>>,
    columns: usize,
}

impl Moments {
    /// Nothing seen yet, of `groups` groups of `columns` columns.
    pub fn new(groups: usize, columns: usize) -> Self {
        Self {
            count: 0.0,
            sums: vec![0.0; groups * columns],
            products: (0..groups).map(|_| Mat::zeros(columns, columns)).collect(),
            columns,
        }
    }

    /// Moments of channels with these means and variances, each seen at `taps` places that go their own ways.
    pub fn independent(channels: &[(f64, f64)], taps: usize) -> Self {
        let products = |&(mean, variance): &(f64, f64)| {
            Mat::from_fn(taps, taps, |i, j| mean * mean + if i == j { variance } else { 0.0 })
        };
        Self {
            count: 1.0,
            sums: channels.iter().flat_map(|c| std::iter::repeat_n(c.0, taps)).collect(),
            products: channels.iter().map(products).collect(),
            columns: taps,
        }
    }

    /// Adds rows of all groups' columns.
    ///
    /// # Errors
    /// When `device` fails.
    pub fn add(&mut self, rows: &[f32], device: Option<&dyn Products>) -> Result<()> {
        let width = self.sums.len();
        if width == 0 {
            return Ok(());
        }
        self.count += (rows.len() / width) as f64;
        let sums = column_sums(rows, width);
        self.sums.iter_mut().zip(sums).for_each(|(sum, v)| *sum += v);
        add_products(&mut self.products, rows, rows, device)
    }

    /// Rows seen.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Mean of each column of a group.
    pub fn means(&self, group: usize) -> Vec<f64> {
        let n = self.count.max(1.0);
        self.sums[group * self.columns..(group + 1) * self.columns]
            .iter()
            .map(|s| s / n)
            .collect()
    }

    /// Covariance of a group's columns.
    pub fn covariance(&self, group: usize) -> Mat<f64> {
        let (n, means) = (self.count.max(1.0), self.means(group));
        let products = &self.products[group];
        Mat::from_fn(self.columns, self.columns, |i, j| {
            let both = 0.5 * (products[(i, j)] + products[(j, i)]);
            both / n - means[i] * means[j]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn moments_are_those_of_the_rows() -> crate::Result<()> {
        let mut random = fastrand::Rng::with_seed(3);
        let (groups, columns, n) = (2, 20, 5000);
        let width = groups * columns;
        let rows: Vec<f32> = (0..n * width)
            .map(|i| random.f32() + (i % width) as f32 * 0.1)
            .collect();
        let mut moments = Moments::new(groups, columns);
        moments.add(&rows[..1500 * width], None)?;
        moments.add(&rows[1500 * width..], None)?;
        let of = |c: usize| rows.chunks(width).map(move |r| f64::from(r[c]));
        for g in 0..groups {
            let (means, cov) = (moments.means(g), moments.covariance(g));
            for (i, j) in [(0, 0), (3, 17), (17, 3), (19, 19)] {
                let (a, b) = (g * columns + i, g * columns + j);
                let mean = |c| of(c).sum::<f64>() / n as f64;
                let exact = of(a)
                    .zip(of(b))
                    .map(|(x, y)| (x - mean(a)) * (y - mean(b)))
                    .sum::<f64>()
                    / n as f64;
                assert!((means[i] - mean(a)).abs() < 1e-6);
                assert!((cov[(i, j)] - exact).abs() < 1e-4, "{} {exact}", cov[(i, j)]);
            }
        }
        Ok(())
    }
}
