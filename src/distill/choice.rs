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

/// The weights that did best so far.
pub(super) struct Choice {
    before: Judged,
    /// What a loss on views counts beside one by the judge.
    per_view: f64,
    best: Option<(Judged, Vec<Vec<f32>>)>,
    /// All that were judged.
    pub all: Vec<Judged>,
}

impl Choice {
    /// Among those from before and what will come. Losses on views are `comparable` where the judge measures the same; else both count by what
    /// becomes of those from before.
    pub fn new(before: Judged, comparable: bool) -> Self {
        let per_view = match before.on_views {
            Some(views) if !comparable && views > 0.0 && before.loss > 0.0 => before.loss / views,
            _ => 1.0,
        };
        Self {
            before,
            per_view,
            best: None,
            all: vec![before],
        }
    }

    /// The mean of both losses; infinite where one is no number.
    pub fn total(&self, judged: Judged) -> f64 {
        let views = judged.on_views.map(|views| self.per_view * views);
        let total = views.map_or(judged.loss, |views| 0.5 * (judged.loss + views));
        if total.is_nan() { f64::INFINITY } else { total }
    }

    /// Weights that may do better than all so far.
    pub fn offer(&mut self, judged: Judged, weights: &[Vec<f32>]) {
        self.all.push(judged);
        let [before, best] = self.losses();
        if self.total(judged) < self.total(best) && judged.on_views.is_some() == before.on_views.is_some() {
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
        let mut choice = Choice::new(judged(0, 0.02, Some(0.2)), true);
        assert!((choice.total(judged(1, 0.1, Some(0.5))) - 0.3).abs() < 1e-12);
        assert!(choice.total(judged(1, 0.1, None)) == 0.1);
        assert!(choice.total(judged(1, 0.1, Some(f64::NAN))) == f64::INFINITY);
        // A loss that is small may grow for one that is large, and not the other way round.
        choice.offer(judged(8, 0.02, Some(0.25)), &[]);
        choice.offer(judged(8, 0.25, Some(0.1)), &[]);
        assert!(choice.taken().is_none());
        choice.offer(judged(16, 0.05, Some(0.12)), &[]);
        assert!(choice.taken().is_some());
    }

    #[test]
    fn losses_of_other_kinds_count_by_what_becomes_of_them() {
        let mut choice = Choice::new(judged(0, 0.1, Some(10.0)), false);
        choice.offer(judged(8, 0.5, Some(4.0)), &[]);
        assert!(choice.taken().is_none());
        choice.offer(judged(16, 0.11, Some(8.0)), &[]);
        assert!(choice.taken().is_some());
        for before in [
            judged(0, 0.0, Some(1.0)),
            judged(0, 1.0, Some(0.0)),
            judged(0, 1.0, None),
        ] {
            assert!(Choice::new(before, false).total(before).is_finite());
        }
    }

    #[test]
    fn the_best_of_all_are_taken() {
        let mut choice = Choice::new(judged(0, 1.0, None), true);
        assert!(choice.taken().is_none());
        for (step, loss) in [(1, 1.2), (2, 0.7), (3, 0.8)] {
            choice.offer(judged(step, loss, None), &[vec![step as f32]]);
        }
        assert_eq!(choice.taken(), Some(&[vec![2.0]][..]));
        assert_eq!((choice.losses()[1].step, choice.all.len()), (2, 4));
    }
}
