//! Which of the weights on the way are taken.

/// What weights on the way lose, on the samples that choose.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Judged {
    /// Steps that made them.
    pub step: usize,
    /// By the judge.
    pub loss: f64,
    /// On other views of the samples, where there are any.
    pub on_views: Option<f64>,
}

/// Losses below this one count as none: differences of them are rounding.
const NO_LOSS: f64 = 1e-6;
/// How much more other views count than the samples themselves, of which there are few.
const VIEWS_COUNT: f64 = 2.0;
/// What weights may lose by the judge over what those from before lose, where they lose less on other views.
const MOST_JUDGED: f64 = 2.0;

impl Judged {
    /// What weights lose over what those from before lose: the geometric mean of both losses' ratios; infinite where they lose far more by the judge.
    fn score(self, before: Self) -> f64 {
        let ratio = |now: f64, then: f64| (now.max(0.0) + NO_LOSS) / (then.max(0.0) + NO_LOSS);
        let judged = ratio(self.loss, before.loss);
        let score = match self.on_views.zip(before.on_views) {
            Some((now, then)) if now.is_finite() => {
                let logs = judged.ln() + VIEWS_COUNT * ratio(now, then).ln();
                (logs / (1.0 + VIEWS_COUNT)).exp()
            }
            Some(_) => f64::INFINITY,
            None => judged,
        };
        if judged <= MOST_JUDGED { score } else { f64::INFINITY }
    }
}

/// The weights that did best so far.
pub(super) struct Choice {
    before: Judged,
    best: Option<(Judged, Vec<Vec<f32>>)>,
    /// All that were judged.
    pub all: Vec<Judged>,
}

impl Choice {
    /// Among those from before and what will come.
    pub fn new(before: Judged) -> Self {
        Self {
            before,
            best: None,
            all: vec![before],
        }
    }

    /// Weights that may do better than all so far.
    pub fn offer(&mut self, judged: Judged, weights: &[Vec<f32>]) {
        self.all.push(judged);
        let least = self.best.as_ref().map_or(1.0, |(best, _)| best.score(self.before));
        if judged.score(self.before) < least {
            self.best = Some((judged, weights.to_vec()));
        }
    }

    /// What those from before lose, and what the best lose.
    pub fn losses(&self) -> [Judged; 2] {
        [
            self.before,
            self.best.as_ref().map_or(self.before, |(judged, _)| *judged),
        ]
    }

    /// The best weights, if they are not those from before.
    pub fn taken(&self) -> Option<&[Vec<f32>]> {
        self.best.as_ref().map(|(_, weights)| weights.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, Judged};

    fn judged(step: usize, loss: f64, on_views: Option<f64>) -> Judged {
        Judged { step, loss, on_views }
    }

    #[test]
    fn other_views_count_twice() {
        let before = judged(0, 1.0, Some(1.0));
        let score = |loss, views| judged(1, loss, Some(views)).score(before);
        // More by the judge for much less on views; far more never; nothing lost stays nothing.
        assert!(score(1.5, 0.6) < 1.0 && score(1.5, 0.9) > 1.0 && score(0.6, 1.5) > 1.0);
        assert!(score(2.5, 0.1) > 1.0 && score(0.5, f64::NAN) > 1.0);
        let alone = judged(0, 1.0, None);
        assert!(judged(1, 0.9, None).score(alone) < 1.0 && judged(1, 1.1, None).score(alone) > 1.0);
        let none = judged(0, 0.0, Some(0.0));
        assert!((judged(1, 0.0, Some(-1e-9)).score(none) - 1.0).abs() < 1e-9);
        assert!(judged(1, f64::NAN, Some(0.1)).score(before) > 1.0);
    }

    #[test]
    fn the_best_of_all_are_taken() {
        let mut choice = Choice::new(judged(0, 1.0, None));
        assert!(choice.taken().is_none());
        for (step, loss) in [(1, 1.2), (2, 0.7), (3, 0.8)] {
            choice.offer(judged(step, loss, None), &[vec![step as f32]]);
        }
        assert_eq!(choice.taken(), Some(&[vec![2.0]][..]));
        assert_eq!((choice.losses()[1].step, choice.all.len()), (2, 4));
    }
}
