//! Least squares where only what an activation lets through counts.
//!
//! With A(p) the nearest value to an output p that serves (p itself where the activation behind is flat and p is on the right side), the
//! weights minimize Σ (A(X w) − X w)² + n λ |w − w₀|², which is convex in w. Each step takes A at the present outputs as what is aimed at
//! and solves the plain least squares for that, by one factor for all steps; no step raises the sum. Steps are taken from a point ahead of the
//! last two (Nesterov, 1983; Beck and Teboulle, 2009).

use faer::Mat;
use faer::linalg::solvers::Solve;

use super::aims::Places;
use super::change::Settings;
use super::solve::{Fit, Present, Sums};
use crate::Result;
use crate::device::Products;
use crate::ops::LinearOp;
use crate::score::{add_products, column_sums};

impl Fit {
    /// From the plain least squares on, so many steps as the settings say.
    ///
    /// # Errors
    /// When `device` fails.
    pub(super) fn refined(
        self,
        linear_op: &LinearOp,
        sums: &Sums,
        present: Present,
        places: &[Places],
        (settings, device): (Settings, Option<&dyn Products>),
    ) -> Result<Self> {
        let factors: Vec<_> = (0..linear_op.groups())
            .map(|g| sums.damped(g, settings.ridge))
            .collect();
        let start = Point::of(present.weights, present.bias);
        let mut last = Point::of(&self.weights, self.bias.as_deref().unwrap_or(present.bias));
        let mut ahead = last.clone();
        let mut speed = 1.0f64;
        for _ in 0..settings.steps {
            let mut next = ahead.clone();
            let missing = Missing::of(linear_op, &ahead, places, device)?;
            for (g, damped) in factors.iter().enumerate() {
                let Some((factor, lambda)) = damped else { continue };
                missing.step(
                    linear_op,
                    sums,
                    g,
                    (&start, &mut next),
                    &present,
                    (&|right| factor.solve(right), *lambda),
                );
            }
            let faster = 0.5 * (1.0 + (1.0 + 4.0 * speed * speed).sqrt());
            ahead = next.beyond(&last, (speed - 1.0) / faster);
            (last, speed) = (next, faster);
        }
        let finite = last.weights.iter().chain(&last.bias).all(|v| v.is_finite());
        if !finite {
            return Ok(self);
        }
        let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        Ok(Self {
            weights: single(last.weights),
            bias: linear_op.takes_bias.then(|| single(last.bias)),
        })
    }
}

/// Solves least squares of one group for right sides.
type Solver<'s> = &'s dyn Fn(&Mat<f64>) -> Mat<f64>;

/// The sum of squares of what is missing to values that serve.
pub(super) fn missed(linear_op: &LinearOp, weights: &[f32], bias: &[f32], places: &[Places]) -> f64 {
    let of = |p: &Places| {
        p.missing(linear_op, weights, bias)
            .iter()
            .map(|&e| f64::from(e).powi(2))
            .sum::<f64>()
    };
    places.iter().map(of).sum()
}

/// Weights (outputs × columns) and biases.
#[derive(Clone)]
struct Point {
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl Point {
    fn of(weights: &[f32], bias: &[f32]) -> Self {
        let double = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect();
        Self {
            weights: double(weights),
            bias: double(bias),
        }
    }

    /// As far beyond itself, seen from another, as `share` of the way between them.
    fn beyond(&self, other: &Self, share: f64) -> Self {
        let between = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + share * (a - b)).collect();
        Self {
            weights: between(&self.weights, &other.weights),
            bias: between(&self.bias, &other.bias),
        }
    }
}

/// What outputs lack, summed over places.
struct Missing {
    /// Σ x e, one matrix a group.
    cross: Vec<Mat<f64>>,
    /// Σ e, output by output.
    sums: Vec<f64>,
}

impl Missing {
    fn of(linear_op: &LinearOp, at: &Point, places: &[Places], device: Option<&dyn Products>) -> Result<Self> {
        let (columns, per, outputs) = (linear_op.columns(), linear_op.group_outputs(), linear_op.outputs);
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let (weights, bias) = (single(&at.weights), single(&at.bias));
        let mut found = Self {
            cross: (0..linear_op.groups()).map(|_| Mat::zeros(columns, per)).collect(),
            sums: vec![0.0; outputs],
        };
        for place in places {
            let missing = place.missing(linear_op, &weights, &bias);
            let sums = column_sums(&missing, outputs);
            found.sums.iter_mut().zip(sums).for_each(|(s, e)| *s += e);
            add_products(&mut found.cross, &place.inputs, &missing, device)?;
        }
        Ok(found)
    }

    /// Moves the weights of a group to those that make up for what is missing.
    fn step(
        &self,
        linear_op: &LinearOp,
        sums: &Sums,
        g: usize,
        (start, next): (&Point, &mut Point),
        present: &Present,
        (solve, lambda): (Solver, f64),
    ) {
        let (columns, per, n) = (linear_op.columns(), linear_op.group_outputs(), sums.count());
        let means = sums.means(g);
        let at = |o: usize, j: usize| (g * per + o) * columns + j;
        let right = Mat::from_fn(columns, per, |j, o| {
            let mean = if linear_op.takes_bias {
                means[j] * self.sums[g * per + o] / n
            } else {
                0.0
            };
            let drawn = lambda * (next.weights[at(o, j)] - start.weights[at(o, j)]);
            self.cross[g][(j, o)] / n - mean - drawn
        });
        let change = solve(&right);
        for o in (0..per).filter(|&o| present.kept.get(g * per + o).is_none_or(Option::is_some)) {
            let mut made = 0.0;
            for j in 0..columns {
                next.weights[at(o, j)] += change[(j, o)];
                made += change[(j, o)] * means[j];
            }
            if linear_op.takes_bias {
                next.bias[g * per + o] += self.sums[g * per + o] / n - made;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::missed;
    use crate::ops::LinearOp;
    use crate::reconstruct::aims::{Aims, Places};
    use crate::reconstruct::{Fit, Present, Settings, Sums};

    /// What rows of four inputs make, of which the layer reads three: where `flat`, all up to 0 serves as well as what is negative.
    fn places(flat: bool) -> Places {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut inputs, mut values) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            let x: [f32; 4] = std::array::from_fn(|_| random.f32() - 0.5);
            inputs.extend(&x[..3]);
            values.push(2.0 * x[0] - x[1] + 0.5 * x[2] + 1.5 * x[3] - 0.3);
        }
        let (mut least, mut most) = (values.clone(), values.clone());
        for (low, high) in least.iter_mut().zip(&mut most).filter(|(_, h)| flat && **h <= 0.0) {
            (*low, *high) = (f32::NEG_INFINITY, 0.0);
        }
        Places {
            inputs,
            aims: Aims { values, least, most },
        }
    }

    #[test]
    fn weights_spend_nothing_on_what_an_activation_makes_alike() -> crate::Result<()> {
        let layer = LinearOp::neuron(3);
        let (weights, bias) = ([2.0, -1.0, 0.5], [-0.3]);
        let present = Present {
            weights: &weights,
            bias: &bias,
            kept: &[Some(0)],
        };
        let settings = Settings::default();
        for flat in [true, false] {
            let places = [places(flat)];
            let mut sums = Sums::new(&layer);
            sums.add(&places[0].inputs, &places[0].aims.values, None)?;
            let plain = Fit::new(&layer, &sums, present, settings);
            let refined = plain
                .clone()
                .refined(&layer, &sums, present, &places, (settings, None))?;
            let of = |fit: &Fit| missed(&layer, &fit.weights, fit.bias.as_deref().unwrap_or(&bias), &places);
            let (before, after) = (of(&plain), of(&refined));
            match flat {
                true => assert!(after < 0.97 * before, "{after} {before}"),
                false => assert!((after - before).abs() < 1e-4 * before, "{after} {before}"),
            }
        }
        Ok(())
    }
}
