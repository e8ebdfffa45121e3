//! How far two models' answers for one sample are apart.

use super::answers::Answer;
use super::detect::Detection;
use super::segment::MapCounts;

/// Boxes that overlap by less are not the same.
const SAME_BOX: f64 = 0.5;

/// For each of some boxes, whether the other ones hold the same: one of its class that overlaps by half, each taken once, in the order
/// of the first ones' scores.
pub fn found_by_both(own: &[Detection], others: &[Detection]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..own.len()).collect();
    order.sort_by(|&a, &b| own[b].score.total_cmp(&own[a].score).then(a.cmp(&b)));
    let (mut free, mut both) = (vec![true; others.len()], vec![false; own.len()]);
    for k in order {
        let overlap = |i: &usize| own[k].rect.iou(&others[*i].rect);
        let same = (0..others.len()).filter(|&i| free[i] && others[i].class == own[k].class);
        let best = same.max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
        if let Some(best) = best.filter(|i| overlap(i) >= SAME_BOX) {
            (free[best], both[k]) = (false, true);
        }
    }
    both
}

impl Answer {
    /// The same, without boxes that do not score above `score`.
    #[must_use]
    pub fn above(self, score: f32) -> Self {
        match self {
            Self::Boxes(all) => Self::Boxes(all.into_iter().filter(|d| d.score > score).collect()),
            other => other,
        }
    }

    /// How far another model's answer is from this one, 0 to 1: of boxes, those that one finds alone over all and one more; of maps, what
    /// is missing to a mean intersection over union of 1; of all else, whether they differ.
    pub fn apart(&self, other: &Self) -> f64 {
        match (self, other) {
            (Self::Boxes(a), Self::Boxes(b)) => {
                let both = 2 * found_by_both(a, b).iter().filter(|same| **same).count();
                let all = a.len() + b.len();
                all.saturating_sub(both) as f64 / (all + 1) as f64
            }
            (Self::Map(a), Self::Map(b)) => 1.0 - MapCounts::new(a, b).mean_iou().unwrap_or(1.0),
            (a, b) => f64::from(u8::from(a != b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::found_by_both;
    use crate::task::{Answer, Detection, Rect};

    fn found(class: usize, score: f32, x: f32) -> Detection {
        Detection {
            class,
            score,
            rect: Rect::corners(x, 0.0, x + 10.0, 10.0),
        }
    }

    #[test]
    fn a_box_is_the_same_where_class_and_place_are() {
        let a = [found(0, 0.5, 0.0), found(0, 0.9, 1.0), found(1, 0.8, 40.0)];
        let b = [found(0, 0.7, 1.0), found(2, 0.8, 40.0), found(1, 0.3, 45.0)];
        // The better one takes the only one there; 5 of 10 columns overlap by a third.
        assert_eq!(found_by_both(&a, &b), [false, true, false]);
        let apart = |a: &[Detection], b: &[Detection]| Answer::Boxes(a.to_vec()).apart(&Answer::Boxes(b.to_vec()));
        assert_eq!(apart(&a, &b), 4.0 / 7.0);
        assert_eq!((apart(&a, &a), apart(&[], &[])), (0.0, 0.0));
        let sure = Answer::Boxes(a.to_vec()).above(0.5);
        assert_eq!(sure, Answer::Boxes(a[1..].to_vec()));
    }
}
