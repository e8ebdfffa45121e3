//! One layer's least squares: weights that make the target out of the inputs, drawn towards those it starts from.
//!
//! With X the inputs' deviations from their means, E = Y − X Wᵀ what is missing, and n rows:
//! `W' = W + Eᵀ X (Xᵀ X + n λ I)⁻¹`, `b' = ȳ − W' x̄`.

use faer::linalg::solvers::Llt;
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::change::Settings;
use crate::Result;
use crate::device::Products;
use crate::ops::LinearOp;
use crate::score::{Moments, add_products};

/// What is summed over places.
#[derive(Debug)]
pub struct Sums {
    inputs: Moments,
    /// Σ xᵀy, one matrix a group.
    cross: Vec<Mat<f64>>,
    /// Σ y and Σ y², output by output.
    goals: Vec<(f64, f64)>,
    linear_op: LinearOp,
}

/// How often λ is raised tenfold until there is a factor.
const RISES: usize = 12;

impl Sums {
    /// Nothing summed yet.
    pub fn new(linear_op: &LinearOp) -> Self {
        let cross = || Mat::zeros(linear_op.columns(), linear_op.group_outputs());
        Self {
            inputs: Moments::new(linear_op.groups(), linear_op.columns()),
            cross: (0..linear_op.groups()).map(|_| cross()).collect(),
            goals: vec![(0.0, 0.0); linear_op.outputs],
            linear_op: linear_op.clone(),
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.inputs.count() == 0.0
    }

    /// Rows added, at least one.
    pub(super) fn count(&self) -> f64 {
        self.inputs.count().max(1.0)
    }

    /// Means of a group's inputs.
    pub(super) fn means(&self, g: usize) -> Vec<f64> {
        self.inputs.means(g)
    }

    /// The inputs' products that the weights of a group are solved by: about their means where the layer has a bias to make up for these.
    fn square(&self, g: usize) -> Mat<f64> {
        let (means, spread, columns) = (self.means(g), self.inputs.covariance(g), self.linear_op.columns());
        if self.linear_op.takes_bias {
            return spread;
        }
        Mat::from_fn(columns, columns, |i, j| spread[(i, j)] + means[i] * means[j])
    }

    /// A factor of these products with λ on the diagonal, and λ; `None` where there is none.
    pub(super) fn damped(&self, g: usize, ridge: f64) -> Option<(Llt<f64>, f64)> {
        let (mut square, columns) = (self.square(g), self.linear_op.columns());
        let mean = (0..columns).map(|i| square[(i, i)]).sum::<f64>() / columns as f64;
        let (mut lambda, mut added) = ((ridge * mean).max(1e-12), 0.0);
        // Inputs that hardly vary about a large mean have products with negative eigenvalues, by rounding.
        for _ in 0..RISES {
            (0..columns).for_each(|i| square[(i, i)] += lambda - added);
            if let Ok(factor) = square.llt(Side::Lower) {
                return Some((factor, lambda));
            }
            (added, lambda) = (lambda, 10.0 * lambda);
        }
        None
    }

    /// Adds rows of inputs (all groups' columns) and of targets (all outputs).
    ///
    /// # Errors
    /// When `device` fails.
    pub fn add(&mut self, rows: &[f32], goals: &[f32], device: Option<&dyn Products>) -> Result<()> {
        self.inputs.add(rows, device)?;
        self.add_goals(rows, goals, device)
    }

    /// Other targets for all rows that were added.
    ///
    /// # Errors
    /// When `device` fails.
    pub(super) fn aim_at(&mut self, rows: &[f32], goals: &[f32], device: Option<&dyn Products>) -> Result<()> {
        self.goals.fill((0.0, 0.0));
        self.cross.iter_mut().for_each(|c| c.fill(0.0));
        self.add_goals(rows, goals, device)
    }

    fn add_goals(&mut self, rows: &[f32], goals: &[f32], device: Option<&dyn Products>) -> Result<()> {
        let outputs = self.linear_op.outputs;
        for row in goals.chunks_exact(outputs.max(1)) {
            for (sum, &y) in self.goals.iter_mut().zip(row) {
                let y = f64::from(y);
                *sum = (sum.0 + y, sum.1 + y * y);
            }
        }
        add_products(&mut self.cross, rows, goals, device)
    }
}

/// A layer's new weights.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Outputs × columns.
    pub weights: Vec<f32>,
    /// The bias, where the layer takes one.
    pub bias: Option<Vec<f32>>,
}

/// What a layer's fit starts from.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    /// The weights, outputs × columns.
    pub weights: &'a [f32],
    /// The bias; zeros where there is none.
    pub bias: &'a [f32],
    /// For each output, the original's that it is; `None` for a new one, which stays as it is.
    pub kept: &'a [Option<usize>],
}

/// Deviations are matched by at most this factor: past it, little of the output is left to scale.
const MOST_SCALE: f64 = 1.5;

impl Fit {
    /// Solves a layer.
    pub fn new(linear_op: &LinearOp, sums: &Sums, present: Present, settings: Settings) -> Self {
        let (columns, per, n) = (
            linear_op.columns(),
            linear_op.group_outputs(),
            sums.inputs.count().max(1.0),
        );
        let mut weights = present.weights.to_vec();
        let mut bias = present.bias.to_vec();
        for g in 0..linear_op.groups() {
            let means = sums.inputs.means(g);
            let start = Mat::from_fn(per, columns, |o, j| {
                f64::from(present.weights[(g * per + o) * columns + j])
            });
            let goal = |o: usize| sums.goals[g * per + o].0 / n;
            // A layer without a bias has no means to take out: they are part of what it fits.
            let centred = |i: usize, o: usize| {
                let both = sums.cross[g][(i, o)] / n;
                if linear_op.takes_bias {
                    both - means[i] * goal(o)
                } else {
                    both
                }
            };
            let square = sums.square(g);
            let toward = &square * start.transpose();
            let missing = Mat::from_fn(columns, per, |i, o| centred(i, o) - toward[(i, o)]);
            let Some((factor, _)) = sums.damped(g, settings.ridge) else {
                continue;
            };
            let change = factor.solve(&missing);
            for o in (0..per).filter(|&o| present.kept.get(g * per + o).is_none_or(Option::is_some)) {
                let at = g * per + o;
                let mut row: Vec<f64> = (0..columns).map(|j| start[(o, j)] + change[(j, o)]).collect();
                if settings.match_deviation && linear_op.takes_bias {
                    let wanted = sums.goals[at].1 / n - goal(o).powi(2);
                    let made = quadratic(&row, &square);
                    if made > 0.0 && wanted > 0.0 {
                        let scale = (wanted / made).sqrt().clamp(1.0, MOST_SCALE);
                        row.iter_mut().for_each(|w| *w *= scale);
                    }
                }
                if row.iter().any(|w| !w.is_finite()) {
                    continue;
                }
                if linear_op.takes_bias {
                    let made: f64 = row.iter().zip(&means).map(|(w, m)| w * m).sum();
                    bias[at] = (goal(o) - made) as f32;
                }
                for (j, w) in row.into_iter().enumerate() {
                    weights[at * columns + j] = w as f32;
                }
            }
        }
        Self {
            weights,
            bias: linear_op.takes_bias.then_some(bias),
        }
    }
}

impl Fit {
    /// Whether these weights make the target at least as well as the present ones on other rows. Where there are none, they do.
    pub fn is_better(&self, on: &Sums, present: Present) -> bool {
        let bias = self.bias.as_deref().unwrap_or(present.bias);
        on.is_empty() || on.error(&self.weights, bias) <= on.error(present.weights, present.bias)
    }
}

impl Sums {
    /// The mean over rows of Σ (y − W x − b)², less the part that no weights change.
    fn error(&self, weights: &[f32], bias: &[f32]) -> f64 {
        let m = &self.linear_op;
        let (columns, per, n) = (m.columns(), m.group_outputs(), self.inputs.count().max(1.0));
        let mut sum = 0.0;
        for g in 0..m.groups() {
            let means = self.inputs.means(g);
            let own = Mat::from_fn(per, columns, |o, j| f64::from(weights[(g * per + o) * columns + j]));
            let spread = &own * self.inputs.covariance(g);
            for o in 0..per {
                let of = |a: &dyn Fn(usize) -> f64| (0..columns).map(|j| own[(o, j)] * a(j)).sum::<f64>();
                let (mean, goal) = (of(&|j| means[j]), self.goals[g * per + o].0 / n);
                let offset = mean + bias.get(g * per + o).map_or(0.0, |&b| f64::from(b));
                let along = of(&|j| self.cross[g][(j, o)] / n) - mean * goal;
                sum += of(&|j| spread[(o, j)]) - 2.0 * along + (offset - goal).powi(2);
            }
        }
        sum
    }
}

/// w S wᵀ.
fn quadratic(w: &[f64], s: &Mat<f64>) -> f64 {
    let mut sum = 0.0;
    for (j, wj) in w.iter().enumerate() {
        sum += wj * w.iter().zip(s.col(j).iter()).map(|(a, b)| a * b).sum::<f64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{Fit, Present, Sums};
    use crate::ops::LinearOp;
    use crate::reconstruct::Settings;

    /// Rows of two inputs, and y = 2 x0 − x1 + 3 of them.
    fn sums(layer: &LinearOp, rows: &[f32], noise: f32) -> crate::Result<Sums> {
        let mut sums = Sums::new(layer);
        let goals: Vec<f32> = rows.chunks_exact(2).map(|x| 2.0 * x[0] - x[1] + 3.0 + noise).collect();
        sums.add(rows, &goals, None)?;
        Ok(sums)
    }

    #[test]
    fn a_mean_is_made_up_for_where_inputs_hardly_vary_about_a_large_one() -> crate::Result<()> {
        let layer = LinearOp::neuron(8);
        let mut random = fastrand::Rng::with_seed(3);
        // One direction in all, and what rounding makes of the others.
        let rows: Vec<f32> = (0..64)
            .flat_map(|_| {
                let own = random.f32();
                (0..8).map(move |j| (1e6 + own) * (1.0 + 0.37 * j as f32))
            })
            .collect();
        let mut sums = Sums::new(&layer);
        sums.add(&rows, &[7.0; 64], None)?;
        let (weights, bias) = ([0.0; 8], [0.0]);
        let present = Present {
            weights: &weights,
            bias: &bias,
            kept: &[Some(0)],
        };
        let fit = Fit::new(&layer, &sums, present, Settings::default());
        let bias = fit.bias.as_ref().and_then(|b| b.first()).copied().unwrap_or(0.0);
        for row in rows.chunks_exact(8) {
            let made: f32 = row.iter().zip(&fit.weights).map(|(x, w)| x * w).sum::<f32>() + bias;
            assert!((made - 7.0).abs() < 0.01, "{made}");
        }
        Ok(())
    }

    #[test]
    fn weights_are_better_only_where_rows_that_were_not_fitted_say_so() -> crate::Result<()> {
        let layer = LinearOp::neuron(2);
        let rows: Vec<f32> = (0..40).map(|k| ((k * 37 + 11) % 17) as f32 - 8.0).collect();
        let fitted_on = sums(&layer, &rows[..20], 0.0)?;
        let (weights, bias) = ([1.0, 0.0], [0.0]);
        let present = Present {
            weights: &weights,
            bias: &bias,
            kept: &[Some(0)],
        };
        let fit = Fit::new(&layer, &fitted_on, present, Settings::default());
        let same = sums(&layer, &rows[20..], 0.0)?;
        // What is missing of y² is the same for all weights.
        let error = |w: &[f32], b: f32| {
            let each = |x: &[f32]| f64::from(2.0 * x[0] - x[1] + 3.0 - w[0] * x[0] - w[1] * x[1] - b).powi(2);
            rows[20..].chunks_exact(2).map(each).sum::<f64>() / 10.0
        };
        let told = same.error(&weights, &bias) - same.error(&[0.0, 1.0], &[2.0]);
        assert!((told - error(&weights, 0.0) + error(&[0.0, 1.0], 2.0)).abs() < 1e-3);
        assert!(fit.is_better(&same, present) && fit.is_better(&Sums::new(&layer), present));
        // Rows for which the present weights are right.
        let mut others = Sums::new(&layer);
        let goals: Vec<f32> = rows[20..].chunks_exact(2).map(|x| x[0]).collect();
        others.add(&rows[20..], &goals, None)?;
        assert!(!fit.is_better(&others, present));
        Ok(())
    }
}
