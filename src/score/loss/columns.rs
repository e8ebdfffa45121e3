//! Outputs of numbers: squared errors over variances, column by column of the axis that tells what a number means.

/// What becomes of values before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// Nothing.
    None,
    /// Each becomes a share.
    Sigmoid,
    /// The columns of a place become shares that add up to one.
    Softmax,
}

/// Where the columns of an output lie: a value's column is `index / inner % count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Columns.
    pub count: usize,
    /// Values between one column and the next.
    pub inner: usize,
}

/// A nearly constant column has at least this share of the mean variance of all columns.
const LEAST_SHARE: f64 = 1e-2;
/// So few rows tell no variance of single columns.
const FEW: usize = 8;

impl Axis {
    /// The axis of an output of `samples` samples that tells what a number means: that of channels for maps (last where the map is
    /// square before it), the shorter one of places and attributes, else all values are one column.
    pub fn of(dims: &[usize], samples: usize) -> Self {
        let batched = dims.first() == Some(&samples);
        let axis = match *dims {
            [_, _] if batched => Some(1),
            [_, a, b] if batched && 2 * a <= b => Some(1),
            [_, a, b] if batched && 2 * b <= a => Some(2),
            [_, _, c] if !batched && c > 1 => Some(2),
            [_, a, b, c] if batched && (c <= 4 || a == b) && c != b => Some(3),
            [_, _, _, _] if batched => Some(1),
            [_, _, _, _, _] if batched => Some(1),
            _ => None,
        };
        match axis {
            Some(axis) => Self {
                count: dims[axis].max(1),
                inner: dims[axis + 1..].iter().product::<usize>().max(1),
            },
            None => Self { count: 1, inner: 1 },
        }
    }

    fn column(self, index: usize) -> usize {
        index / self.inner % self.count
    }

    /// The row of a value: its place among those of one column.
    pub fn row(self, index: usize) -> usize {
        index / (self.inner * self.count) * self.inner + index % self.inner
    }

    /// Applies an activation.
    pub fn activate(self, activation: Activation, values: &mut [f32]) {
        match activation {
            Activation::None => {}
            Activation::Sigmoid => values.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp())),
            Activation::Softmax => {
                for block in values.chunks_exact_mut(self.inner * self.count) {
                    for place in 0..self.inner {
                        let at = |c: usize| c * self.inner + place;
                        let most = (0..self.count).map(|c| block[at(c)]).fold(f32::NEG_INFINITY, f32::max);
                        let sum: f32 = (0..self.count).map(|c| (block[at(c)] - most).exp()).sum();
                        (0..self.count).for_each(|c| block[at(c)] = (block[at(c)] - most).exp() / sum);
                    }
                }
            }
        }
    }
}

/// Means and variances of columns, gathered over runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    /// Count, sum and sum of squares.
    sums: Vec<(f64, f64, f64)>,
}

impl Spread {
    /// Adds values, each with the weight of its row.
    pub fn add(&mut self, axis: Axis, values: &[f32], weight: &dyn Fn(usize) -> f64) {
        self.sums.resize(axis.count.max(self.sums.len()), (0.0, 0.0, 0.0));
        for (i, &v) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            let (w, v) = (weight(axis.row(i)), f64::from(v));
            let sums = &mut self.sums[axis.column(i)];
            *sums = (sums.0 + w, sums.1 + w * v, sums.2 + w * v * v);
        }
    }

    /// The variance of each column, none nearly zero beside the others.
    pub fn variances(&self, rows: usize) -> Vec<f64> {
        let variance = |(n, sum, squares): (f64, f64, f64)| match n > 0.0 {
            true => (squares / n - (sum / n).powi(2)).max(0.0),
            false => 0.0,
        };
        let own: Vec<f64> = self.sums.iter().map(|&s| variance(s)).collect();
        let mean = own.iter().sum::<f64>() / own.len().max(1) as f64;
        let all = self
            .sums
            .iter()
            .fold((0.0, 0.0, 0.0), |a, s| (a.0 + s.0, a.1 + s.1, a.2 + s.2));
        let least = if rows < FEW { variance(all) } else { LEAST_SHARE * mean };
        own.iter().map(|v| v.max(least).max(1e-12)).collect()
    }
}

/// The mean over columns of the weighted mean squared error over the variance, where the original's values are numbers.
pub(super) fn column_error(
    axis: Axis,
    variances: &[f64],
    (before, after): (&[f32], &[f32]),
    weight: &dyn Fn(usize) -> f64,
) -> f64 {
    let mut sums = vec![(0.0_f64, 0.0_f64); axis.count];
    for (i, (&a, &b)) in before.iter().zip(after).enumerate().filter(|(_, (a, _))| a.is_finite()) {
        let w = weight(axis.row(i));
        let sums = &mut sums[axis.column(i)];
        *sums = (sums.0 + w, sums.1 + w * f64::from(a - b).powi(2));
    }
    let error = |((n, sum), variance): (&(f64, f64), &f64)| if *n > 0.0 { sum / n / variance } else { 0.0 };
    sums.iter().zip(variances).map(error).sum::<f64>() / axis.count as f64
}

/// Squared error over the spread of the values, where the original's are numbers.
pub(super) fn relative_error(before: &[f32], after: &[f32]) -> f64 {
    let finite = || before.iter().zip(after).filter(|(a, _)| a.is_finite());
    let count = finite().count().max(1) as f64;
    let mean = finite().map(|(&a, _)| f64::from(a)).sum::<f64>() / count;
    let spread: f64 = finite().map(|(&a, _)| (f64::from(a) - mean).powi(2)).sum();
    let error: f64 = finite().map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
    error / spread.max(1e-12)
}

/// How far two sets of numbers are whose sizes may differ: per column, the mean squared difference of equal quantiles over the
/// variance, and the share by which the sizes differ.
pub(super) fn set_error(columns: usize, variances: &[f64], before: &[f32], after: &[f32]) -> f64 {
    let columns = columns.max(1);
    let (rows, others) = (before.len() / columns, after.len() / columns);
    let most = rows.max(others);
    if most == 0 {
        return 0.0;
    }
    let missing = rows.abs_diff(others) as f64 / most as f64;
    if rows == 0 || others == 0 {
        return missing;
    }
    let sorted = |values: &[f32], c: usize| {
        let mut column: Vec<f32> = values.iter().skip(c).step_by(columns).copied().collect();
        column.sort_by(f32::total_cmp);
        column
    };
    let mut sum = 0.0;
    for (c, variance) in variances.iter().enumerate().take(columns) {
        let (a, b) = (sorted(before, c), sorted(after, c));
        let quantile = |v: &[f32], k: usize| f64::from(v[((2 * k + 1) * v.len() / (2 * most)).min(v.len() - 1)]);
        let error: f64 = (0..most).map(|k| (quantile(&a, k) - quantile(&b, k)).powi(2)).sum();
        sum += error / most as f64 / variance;
    }
    sum / columns as f64 + missing
}
