//! Weights of a layer whose outputs become shares, by the divergence of these from those that are wanted (logistic regression).
//!
//! Steps are those of Newton's method with one matrix for all outputs, Σ h x xᵀ with h the greatest curvature that one of them has at a place, from a
//! point ahead of the last two (Nesterov, 1983), which starts anew where the loss rises.

use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Side};

use crate::Result;
use crate::device::Products;
use crate::ops::{Form, LinearOp};
use crate::reconstruct::outputs::outputs;
use crate::score::add_products;

/// Places of a layer: what it reads there, the shares that are wanted, and how much each counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Examples {
    /// Places × columns, with a column of ones behind them where the layer takes a bias.
    pub rows: Vec<f32>,
    /// Places × outputs.
    pub wanted: Vec<f32>,
    /// Places × outputs.
    pub counts: Vec<f32>,
}

/// Outputs that become shares: one alone by a sigmoid, several together by a softmax.
pub(super) type Groups = [Vec<usize>];

/// λ over the mean of the diagonal of the matrix; weights are drawn towards those they start from.
const RIDGE: f64 = 0.1;
/// Steps.
const STEPS: usize = 48;
/// Steps with one matrix, and between one look at other places and the next.
const WITH_ONE: usize = 6;
/// Shares are kept so far from 0 and 1.
const NEAREST: f64 = 1e-6;

/// A layer's weights, outputs × columns (a bias is the last of them).
pub(super) struct Logistic<'a> {
    flat: LinearOp,
    groups: &'a Groups,
    device: Option<&'a dyn Products>,
}

impl<'a> Logistic<'a> {
    /// For a layer of so many columns (with that of the bias).
    pub fn new(outputs: usize, columns: usize, groups: &'a Groups, device: Option<&'a dyn Products>) -> Self {
        let flat = LinearOp {
            node: 0,
            input: String::new(),
            output: String::new(),
            form: Form::Gemm { outputs_first: true },
            outputs,
            inputs: columns,
            taps: 1,
            takes_bias: false,
        };
        Self { flat, groups, device }
    }

    /// Weights from `first` on that do better on `others` than those; `None` where none do.
    ///
    /// # Errors
    /// When `device` fails.
    pub fn fitted(&self, first: &[f32], on: &Examples, others: &Examples) -> Result<Option<Vec<f32>>> {
        let (start, columns) = (double(first), self.flat.inputs);
        let mut least = self.at(first, others).loss;
        let (mut best, mut last, mut ahead) = (None, start.clone(), start.clone());
        let (mut speed, mut lost, mut factor, mut lambda) = (1.0_f64, f64::INFINITY, None, 0.0);
        for step in 0..STEPS {
            let here = self.at(&single(&ahead), on);
            if step % WITH_ONE == 0 || factor.is_none() {
                factor = self.matrix(on, &here.curvatures)?.and_then(|m| damped(m, &mut lambda));
            }
            let Some(by) = &factor else { break };
            let drawn = |at: &[f64]| at.iter().zip(&start).map(|(w, s)| (w - s).powi(2)).sum::<f64>();
            let whole = here.loss + 0.5 * lambda * drawn(&ahead);
            if whole > lost {
                (ahead, speed, lost) = (last.clone(), 1.0, f64::INFINITY);
                continue;
            }
            lost = whole;
            let mut sums = [Mat::<f64>::zeros(columns, self.flat.outputs)];
            add_products(&mut sums, &on.rows, &here.gradient, self.device)?;
            let slope = Mat::from_fn(columns, self.flat.outputs, |j, o| {
                let at = o * columns + j;
                let moved = ahead.get(at).zip(start.get(at)).map_or(0.0, |(w, s)| w - s);
                sums[0][(j, o)] + lambda * moved
            });
            let change = by.solve(&slope);
            let next: Vec<f64> = ahead
                .iter()
                .enumerate()
                .map(|(at, w)| w - change[(at % columns, at / columns)])
                .collect();
            if next.iter().any(|w| !w.is_finite()) {
                break;
            }
            let faster = 0.5 * (1.0 + (1.0 + 4.0 * speed * speed).sqrt());
            let beyond = (speed - 1.0) / faster;
            ahead = next.iter().zip(&last).map(|(a, b)| a + beyond * (a - b)).collect();
            (last, speed) = (next, faster);
            if (step + 1) % WITH_ONE == 0 {
                let weights = single(&last);
                let loss = self.at(&weights, others).loss;
                if loss < least {
                    (least, best) = (loss, Some(weights));
                }
            }
        }
        Ok(best)
    }

    /// The loss and what follows from it.
    fn at(&self, weights: &[f32], on: &Examples) -> Point {
        let width = self.flat.outputs;
        let made = outputs(&self.flat, &on.rows, weights, &vec![0.0; width]);
        let mut point = Point {
            loss: 0.0,
            gradient: vec![0.0; made.len()],
            curvatures: Vec::new(),
        };
        let places = made
            .chunks_exact(width.max(1))
            .zip(on.wanted.chunks_exact(width.max(1)))
            .zip(on.counts.chunks_exact(width.max(1)))
            .zip(point.gradient.chunks_exact_mut(width.max(1)));
        for (((made, wanted), counts), gradient) in places {
            let mut most = 0.0_f64;
            for group in self.groups {
                let of = |values: &[f32], o: usize| values.get(o).map_or(0.0, |&v| f64::from(v));
                let count = group.iter().map(|&o| of(counts, o)).fold(0.0, f64::max);
                if count <= 0.0 {
                    continue;
                }
                let shares = shares(group.iter().map(|&o| of(made, o)));
                for (&o, p) in group.iter().zip(shares) {
                    let t = of(wanted, o).clamp(NEAREST, 1.0 - NEAREST);
                    point.loss += count * divergence(t, p, group.len());
                    gradient
                        .iter_mut()
                        .skip(o)
                        .take(1)
                        .for_each(|g| *g = (count * (p - t)) as f32);
                    // On the way across a half a share is as uncertain as it can be.
                    let spread = if (p - 0.5) * (t - 0.5) < 0.0 {
                        0.25
                    } else {
                        (p * (1.0 - p)).max(t * (1.0 - t))
                    };
                    let both = if group.len() > 1 { 2.0 } else { 1.0 };
                    most = most.max(both * count * spread);
                }
            }
            point.curvatures.push(most);
        }
        point
    }

    /// Σ h x xᵀ.
    fn matrix(&self, on: &Examples, curvatures: &[f64]) -> Result<Option<Mat<f64>>> {
        let columns = self.flat.inputs;
        let mut rows = on.rows.clone();
        for (row, h) in rows.chunks_exact_mut(columns.max(1)).zip(curvatures) {
            let root = h.sqrt() as f32;
            row.iter_mut().for_each(|v| *v *= root);
        }
        let mut sums = [Mat::<f64>::zeros(columns, columns)];
        add_products(&mut sums, &rows, &rows, self.device)?;
        Ok(sums.into_iter().next())
    }
}

/// A loss at some weights.
struct Point {
    loss: f64,
    /// With respect to what the layer makes: places × outputs.
    gradient: Vec<f32>,
    /// The greatest curvature of each place.
    curvatures: Vec<f64>,
}

/// A factor of a matrix with λ, which the first matrix settles, on its diagonal.
fn damped(mut matrix: Mat<f64>, lambda: &mut f64) -> Option<Llt<f64>> {
    let size = matrix.nrows();
    if *lambda == 0.0 {
        let mean = (0..size).map(|i| matrix[(i, i)]).sum::<f64>() / size.max(1) as f64;
        *lambda = RIDGE * mean;
    }
    (0..size).for_each(|i| matrix[(i, i)] += *lambda);
    matrix.llt(Side::Lower).ok().filter(|_| *lambda > 0.0)
}

/// The shares of a group: a softmax, or a sigmoid of one value alone.
fn shares(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    if let [one] = values.as_mut_slice() {
        *one = 1.0 / (1.0 + (-*one).exp());
    } else {
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        values.iter_mut().for_each(|v| *v = (*v - most).exp());
        let sum: f64 = values.iter().sum();
        values.iter_mut().for_each(|v| *v /= sum);
    }
    values
}

/// How far a share is from the one that is wanted: of one alone, its complement counts, too.
fn divergence(wanted: f64, share: f64, of: usize) -> f64 {
    let share = share.clamp(NEAREST, 1.0 - NEAREST);
    let yes = wanted * (wanted / share).ln();
    match of {
        1 => yes + (1.0 - wanted) * ((1.0 - wanted) / (1.0 - share)).ln(),
        _ => yes,
    }
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::{Examples, Logistic, shares};

    /// Places with two numbers and a one, and the shares of two outputs by these weights: few are large.
    fn places(seed: u64, weights: &[f32; 6], together: bool) -> Examples {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut found = Examples::default();
        for _ in 0..2000 {
            let x = [random.f32(), random.f32(), 1.0];
            let of = |w: &[f32]| w.iter().zip(x).map(|(w, x)| f64::from(w * x)).sum::<f64>();
            let made = [of(&weights[..3]), of(&weights[3..])];
            let wanted: Vec<f64> = match together {
                true => shares(made.into_iter()),
                false => made.iter().flat_map(|&v| shares(std::iter::once(v))).collect(),
            };
            found.rows.extend(x);
            found.wanted.extend(wanted.iter().map(|&t| t as f32));
            found.counts.extend([1.0; 2]);
        }
        found
    }

    #[test]
    fn weights_come_to_those_that_made_the_shares() -> crate::Result<()> {
        let made_by = [6.0, 3.0, -9.0, -2.0, 5.0, -4.0];
        let first = [1.0, 1.0, -5.0, 0.0, 1.0, -2.0];
        for (groups, together) in [(vec![vec![0], vec![1]], false), (vec![vec![0, 1]], true)] {
            let (on, others) = (places(3, &made_by, together), places(4, &made_by, together));
            let logistic = Logistic::new(2, 3, &groups, None);
            let found = logistic.fitted(&first, &on, &others)?.unwrap();
            let lost = |w: &[f32]| logistic.at(w, &others).loss;
            assert!(
                lost(&found) < 0.5 * lost(&first),
                "{found:?}: {} {}",
                lost(&found),
                lost(&first)
            );
            assert!(lost(&made_by) < 1e-3 * lost(&first));
            // They are drawn towards the first ones. What is right already stays.
            assert!(
                logistic
                    .fitted(&made_by, &on, &others)?
                    .is_none_or(|w| lost(&w) <= lost(&made_by))
            );
        }
        Ok(())
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let made_by = [6.0, 3.0, -9.0, -2.0, 5.0, -4.0];
        for (groups, together) in [(vec![vec![0], vec![1]], false), (vec![vec![0, 1]], true)] {
            let on = places(3, &made_by, together);
            let logistic = Logistic::new(2, 3, &groups, None);
            let weights = [1.0, 1.0, -5.0, 0.0, 1.0, -2.0];
            let here = logistic.at(&weights, &on);
            for k in 0..6 {
                let slope: f64 = on
                    .rows
                    .chunks_exact(3)
                    .zip(here.gradient.chunks_exact(2))
                    .map(|(x, g)| f64::from(x[k % 3] * g[k / 3]))
                    .sum();
                let moved = |by: f32| {
                    let mut w = weights;
                    w[k] += by;
                    logistic.at(&w, &on).loss
                };
                let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (slope - difference).abs() < 1e-2 * difference.abs().max(1.0),
                    "{k}: {slope} {difference}"
                );
            }
        }
    }
}
