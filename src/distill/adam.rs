//! Adam (Kingma and Ba, 2015).

/// Decay of the mean of gradients.
const BETA_1: f32 = 0.9;
/// Decay of the mean of their squares.
const BETA_2: f32 = 0.999;
/// What is added to a root before anything is divided by it.
const EPSILON: f32 = 1e-8;

/// Moments of the gradients of one tensor.
#[derive(Clone, Debug)]
pub(super) struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Adam {
    /// For so many weights.
    pub fn new(weights: usize) -> Self {
        Self {
            first: vec![0.0; weights],
            second: vec![0.0; weights],
            steps: 0,
        }
    }

    /// One step against a gradient.
    pub fn step(&mut self, weights: &mut [f32], gradient: &[f32], rate: f32) {
        self.steps += 1;
        let (a, b) = (1.0 - BETA_1.powi(self.steps), 1.0 - BETA_2.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((w, &g), (m, v)) in weights.iter_mut().zip(gradient).zip(moments) {
            *m += (1.0 - BETA_1) * (g - *m);
            *v += (1.0 - BETA_2) * (g * g - *v);
            *w -= rate * (*m / a) / ((*v / b).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Adam;

    #[test]
    fn the_first_step_is_as_long_as_the_rate_and_many_reach_the_least_value() {
        let mut adam = Adam::new(2);
        let mut weights = [3.0, -1.0];
        adam.step(&mut weights, &[0.2, -40.0], 0.5);
        assert!((weights[0] - 2.5f32).abs() < 1e-4 && (weights[1] + 0.5f32).abs() < 1e-4);
        for _ in 0..2000 {
            let gradient = weights.map(|w: f32| 2.0 * (w - 7.0));
            adam.step(&mut weights, &gradient, 0.02);
        }
        assert!(weights.iter().all(|w| (w - 7.0).abs() < 0.05), "{weights:?}");
    }
}
