//! Second moments of rows, streamed: sums in float64 over products of float32 chunks.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use crate::Result;
use crate::device::{Products, Rows};

/// Rows whose products are summed in float32 before they are added in float64.
const CHUNK: usize = 2048;
/// Matrices this small are multiplied by plain loops.
const SMALL: usize = 16;

/// Matrices at least this large go to a device that multiplies faster, where there is one.
const LARGE: usize = 64 * 64;

/// Adds Σ aᵀb over rows to `sum` (columns of `a` × columns of `b`).
///
/// # Errors
/// When `device` fails.
pub fn add_products(sum: &mut Mat<f64>, a: Rows, b: Rows, rows: usize, device: Option<&dyn Products>) -> Result<()> {
    let (left, right) = (a.columns, b.columns);
    if left * right <= SMALL * SMALL {
        for r in 0..rows {
            for j in 0..right {
                let y = f64::from(b.values[r * b.width + b.first + j]);
                for i in 0..left {
                    sum[(i, j)] += f64::from(a.values[r * a.width + a.first + i]) * y;
                }
            }
        }
        return Ok(());
    }
    let device = device.filter(|_| left * right >= LARGE);
    let chunk = if device.is_some() { 4 * CHUNK } else { CHUNK };
    let mut product: Mat<f32> = Mat::zeros(left, right);
    for from in (0..rows).step_by(chunk) {
        let count = chunk.min(rows - from);
        let (x, y) = (rows_of(a, from, count), rows_of(b, from, count));
        if let Some(device) = device {
            let made = device.products(x, y, count)?;
            for (j, column) in made.chunks_exact(left).enumerate() {
                sum.col_mut(j)
                    .iter_mut()
                    .zip(column)
                    .for_each(|(s, &v)| *s += f64::from(v));
            }
            continue;
        }
        let x = MatRef::from_row_major_slice(x.values, count, x.width).subcols(x.first, left);
        let y = MatRef::from_row_major_slice(y.values, count, y.width).subcols(y.first, right);
        matmul(
            product.as_mut(),
            Accum::Replace,
            x.transpose(),
            y,
            1.0f32,
            Par::rayon(0),
        );
        for j in 0..right {
            for i in 0..left {
                sum[(i, j)] += f64::from(product[(i, j)]);
            }
        }
    }
    Ok(())
}

fn rows_of(side: Rows<'_>, from: usize, count: usize) -> Rows<'_> {
    Rows {
        values: side
            .values
            .get(from * side.width..(from + count) * side.width)
            .unwrap_or(&[]),
        ..side
    }
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
        let count = rows.len() / width;
        self.count += count as f64;
        for row in rows.chunks_exact(width) {
            for (sum, &v) in self.sums.iter_mut().zip(row) {
                *sum += f64::from(v);
            }
        }
        for (g, products) in self.products.iter_mut().enumerate() {
            let side = Rows {
                values: rows,
                width,
                first: g * self.columns,
                columns: self.columns,
            };
            add_products(products, side, side, count, device)?;
        }
        Ok(())
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
