//! Non-maximum suppression.

use super::boxes::Detection;

/// Detections that are looked at, at most, and that are left, at most.
const LOOKED_AT: usize = 3000;
const LEFT: usize = 300;

/// Greedy non-maximum suppression within classes: of detections that overlap by more than `iou` the one with the greatest score stays.
/// Those that stay come in the order of their scores.
pub fn non_maximum_suppression(mut found: Vec<Detection>, iou: f64) -> Vec<Detection> {
    found.retain(|d| d.score.is_finite() && d.rect.is_finite());
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(LOOKED_AT);
    let mut kept: Vec<Detection> = Vec::new();
    for one in found {
        if kept.len() == LEFT {
            break;
        }
        if kept
            .iter()
            .all(|k| k.class != one.class || k.rect.iou(&one.rect) <= iou)
        {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::non_maximum_suppression;
    use crate::task::detect::{Detection, Rect};

    #[test]
    fn the_greatest_score_of_a_class_stays() {
        let at = |x: f32, class, score| Detection {
            class,
            score,
            rect: Rect::corners(x, 0.0, x + 10.0, 10.0),
        };
        let all = vec![
            at(1.0, 0, 0.8),
            at(0.0, 0, 0.9),
            at(2.0, 1, 0.7),
            at(30.0, 0, 0.1),
            at(0.0, 0, f32::NAN),
        ];
        let scores: Vec<f32> = non_maximum_suppression(all, 0.5).iter().map(|d| d.score).collect();
        // IoU of the first two: 9 / 11.
        assert_eq!(scores, [0.9, 0.7, 0.1]);
    }
}
