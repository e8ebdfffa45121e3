//! Detectors: scores and boxes, where something is.

use crate::task::{Detection, Rows};

/// Rows count by the square of their score, and by this much where there is nothing.
const FLOOR: f64 = 1e-5;
/// A squared error of so much of a box's size is as much as another box.
pub(super) const BOX_ERROR: f64 = 0.25;

/// How much each row of one sample counts.
pub(super) fn row_weights(rows: &Rows) -> Vec<f64> {
    rows.best().into_iter().map(|s| f64::from(s).powi(2) + FLOOR).collect()
}

/// The sum of the squared scores of a sample: what their errors are held against.
pub(super) fn score_energy(rows: &Rows) -> f64 {
    rows.scores.iter().map(|&s| f64::from(s).powi(2)).sum()
}

/// The sum of squared errors of scores.
pub(super) fn score_error(before: &Rows, after: &Rows) -> f64 {
    let pairs = before.scores.iter().zip(&after.scores);
    pairs.map(|(&a, &b)| f64::from(a - b).powi(2)).sum()
}

/// The weighted mean of the squared errors of corners over the sizes of the original's boxes, each 1 at most.
pub(super) fn box_error(before: &Rows, after: &Rows, weights: &[f64]) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for ((a, b), weight) in before.boxes.iter().zip(&after.boxes).zip(weights) {
        let (width, height) = (f64::from(a.width()).max(1.0), f64::from(a.height()).max(1.0));
        let square = |x: f32, y: f32, size: f64| (f64::from(x - y) / size).powi(2);
        let across = square(a.x1, b.x1, width) + square(a.x2, b.x2, width);
        let down = square(a.y1, b.y1, height) + square(a.y2, b.y2, height);
        let error = (across + down) / 4.0 / BOX_ERROR;
        sum += weight * if error.is_finite() { error.min(1.0) } else { 1.0 };
        all += weight;
    }
    if all > 0.0 { sum / all } else { 0.0 }
}

/// Detections that overlap less are different ones.
const SAME: f64 = 0.1;

/// How far two sets of detections are, 0 to 2: the scores of the original's that are missing and of others that are new, and where a
/// pair overlaps, what it lacks in overlap and score; over the scores of the original's.
pub(super) fn set_distance(before: &[Detection], after: &[Detection]) -> f64 {
    let mut free: Vec<bool> = vec![true; after.len()];
    let (mut lost, mut all) = (0.0, 0.0);
    for one in before {
        let score = f64::from(one.score);
        all += score;
        let mut best = (SAME, None);
        for (k, other) in after
            .iter()
            .enumerate()
            .filter(|(k, o)| free[*k] && o.class == one.class)
        {
            let overlap = one.rect.iou(&other.rect);
            if overlap > best.0 {
                best = (overlap, Some(k));
            }
        }
        lost += match best {
            (overlap, Some(k)) => {
                free[k] = false;
                let error = (score - f64::from(after[k].score)).abs();
                (score * (1.0 - overlap) + error).min(2.0 * score)
            }
            (_, None) => score,
        };
    }
    lost += after
        .iter()
        .zip(&free)
        .filter(|(_, f)| **f)
        .map(|(d, _)| f64::from(d.score))
        .sum::<f64>();
    match all > 0.0 {
        true => (lost / all).min(2.0),
        false => lost.min(2.0),
    }
}
