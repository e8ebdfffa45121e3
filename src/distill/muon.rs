//! Steps of matrices in which all directions are equally long (Muon: Jordan et al., 2024).

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// Decay of the sum of gradients.
const BETA: f32 = 0.95;
/// The polynomial whose repeated use brings singular values near 1, and how often it is used.
const POLYNOMIAL: [f32; 3] = [3.4445, -4.7750, 2.0315];
const TIMES: usize = 5;
/// Singular values below are noise.
const LEAST: f32 = 1e-20;

/// Gradients so far of a matrix, in the order of rows.
#[derive(Clone, Debug)]
pub(super) struct Muon {
    sum: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Muon {
    /// For a matrix.
    pub fn new(rows: usize, columns: usize) -> Self {
        Self {
            sum: vec![0.0; rows * columns],
            rows,
            columns,
        }
    }

    /// One step against a gradient, whose root of the mean square is about the rate.
    pub fn step(&mut self, weights: &mut [f32], gradient: &[f32], rate: f32) {
        let each = self.sum.iter_mut().zip(gradient);
        let ahead: Vec<f32> = each
            .map(|(sum, &g)| {
                *sum = BETA * *sum + g;
                g + BETA * *sum
            })
            .collect();
        let direction = orthogonal(&ahead, self.rows, self.columns);
        let long = rate * (self.rows.max(self.columns) as f32).sqrt();
        weights.iter_mut().zip(direction).for_each(|(w, d)| *w -= long * d);
    }
}

/// The matrix with singular values near 1 in the place of its own: Newton and Schulz' iteration.
fn orthogonal(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let size = values.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt() as f32;
    if size.is_nan() || size < LEAST || values.len() != rows * columns {
        return vec![0.0; values.len()];
    }
    let own = MatRef::from_row_major_slice(values, rows, columns);
    let flat = if rows > columns { own.transpose() } else { own };
    let mut x = Mat::from_fn(flat.nrows(), flat.ncols(), |i, j| flat[(i, j)] / size);
    let [a, b, c] = POLYNOMIAL;
    let side = x.nrows();
    let (mut square, mut factor) = (Mat::<f32>::zeros(side, side), Mat::<f32>::zeros(side, side));
    for _ in 0..TIMES {
        matmul(square.as_mut(), Accum::Replace, &x, x.transpose(), 1.0f32, Par::Seq);
        factor.copy_from(&square);
        factor *= faer::Scale(b);
        matmul(factor.as_mut(), Accum::Add, &square, &square, c, Par::Seq);
        let mut next = x.clone();
        next *= faer::Scale(a);
        matmul(next.as_mut(), Accum::Add, &factor, &x, 1.0f32, Par::Seq);
        x = next;
    }
    let back = if rows > columns { x.transpose() } else { x.as_ref() };
    (0..rows)
        .flat_map(|i| (0..columns).map(move |j| back[(i, j)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Muon, orthogonal};

    /// Turned by a quarter, one of three directions is a hundred times as long as another; what comes out keeps the directions and not the lengths.
    #[test]
    fn directions_become_equally_long() {
        for wide in [true, false] {
            let mut values = vec![0.0; 15];
            for (row, column, value) in [(0, 1, 100.0), (1, 4, -3.0), (2, 0, 1.0)] {
                let at = if wide { 5 * row + column } else { 3 * column + row };
                values[at] = value;
            }
            let (rows, columns) = if wide { (3, 5) } else { (5, 3) };
            let found = orthogonal(&values, rows, columns);
            for (new, old) in found.iter().zip(&values) {
                match *old == 0.0 {
                    true => assert!(new.abs() < 1e-4, "{found:?}"),
                    false => assert!((0.5..1.5).contains(&(new * old.signum())), "{found:?}"),
                }
            }
        }
        assert_eq!(orthogonal(&[0.0; 6], 2, 3), [0.0; 6]);
    }

    #[test]
    fn steps_are_as_long_as_the_rate_and_go_down() {
        let mut muon = Muon::new(2, 2);
        let mut weights = [0.0; 4];
        muon.step(&mut weights, &[3.0, 0.0, 0.0, -0.1], 0.01);
        let size = (weights.iter().map(|w: &f32| w * w).sum::<f32>() / 4.0).sqrt();
        assert!((0.005..0.015).contains(&size), "{weights:?}");
        assert!(weights[0] < 0.0 && weights[3] > 0.0, "{weights:?}");
    }
}
