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

impl Judged {
    /// The mean of both losses; infinite where one is no number.
    pub fn total(self) -> f64 {
        let total = self.on_views.map_or(self.loss, |views| 0.5 * (self.loss + views));
        if total.is_nan() { f64::INFINITY } else { total }
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
        let [before, best] = self.losses();
        if judged.total() < best.total() && judged.on_views.is_some() == before.on_views.is_some() {
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
    fn views_and_samples_count_alike() {
        assert!((judged(1, 0.1, Some(0.5)).total() - 0.3).abs() < 1e-12 && judged(1, 0.1, None).total() == 0.1);
        assert!(judged(1, 0.1, Some(f64::NAN)).total() == f64::INFINITY);
        // A loss that is small may grow for one that is large, and not the other way round.
        let mut choice = Choice::new(judged(0, 0.02, Some(0.2)));
        choice.offer(judged(8, 0.02, Some(0.25)), &[]);
        choice.offer(judged(8, 0.25, Some(0.1)), &[]);
        assert!(choice.taken().is_none());
        choice.offer(judged(16, 0.05, Some(0.12)), &[]);
        assert!(choice.taken().is_some());
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
