//! What gates lose on the samples that judge them.

use serde::Serialize;

use crate::verify::Interval;

/// What gates lose on samples that judge them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GateDrop {
    /// Accuracy lost against the static model, 0 to 1: top-1 or the task's own number by labels, what is missing to full agreement without; the loss
    /// for other outputs; by a metric of the user's own, on its scale.
    pub value: f64,
    /// The 95 % interval, for answers.
    pub interval: Option<Interval>,
    /// Samples that it is of.
    pub samples: usize,
    /// What is lost on the samples that gates were searched on, where these are others.
    pub searched_on: Option<f64>,
}

impl GateDrop {
    /// In words; by a metric of the user's own it is a plain number.
    pub fn text(&self, own_metric: bool) -> String {
        let shown = |v: f64| shown_drop(v, own_metric);
        let mut text = shown(self.value);
        if let Some(Interval { low, high }) = self.interval {
            text += &format!(" ({} to {} with 95 % confidence)", shown(low), shown(high));
        }
        text += &format!(" on {} samples for evaluation", self.samples);
        if let Some(searched) = self.searched_on {
            text += &format!(
                " that gates were not searched on; {} on those that they were searched on",
                shown(searched)
            );
        }
        text
    }
}

/// A drop as its number has it: a share, or the metric's own unit.
pub fn shown_drop(drop: f64, own_metric: bool) -> String {
    match own_metric {
        // Rounding leaves a sign with nothing behind it.
        false => match format!("{:.2} %", 100.0 * drop) {
            none if none == "-0.00 %" => "0.00 %".to_owned(),
            shown => shown,
        },
        true => format!("{drop:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{GateDrop, shown_drop};
    use crate::verify::Interval;

    #[test]
    fn a_drop_is_told_with_its_samples() {
        let mut drop = GateDrop {
            value: 0.006,
            interval: Some(Interval {
                low: -0.00001,
                high: 0.012,
            }),
            samples: 2500,
            searched_on: Some(0.004),
        };
        let told = "0.60 % (0.00 % to 1.20 % with 95 % confidence) on 2500 samples for evaluation that gates were not searched on; 0.40 % on \
                    those that they were searched on";
        assert_eq!(drop.text(false), told);
        (drop.interval, drop.searched_on) = (None, None);
        assert_eq!(drop.text(true), "0.0060 on 2500 samples for evaluation");
        assert_eq!(shown_drop(-0.02, false), "-2.00 %");
    }
}
