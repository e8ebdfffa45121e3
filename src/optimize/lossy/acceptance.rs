//! What a narrower model must show before it is written.

use super::measure::Latency;
use crate::optimize::fitting::gives_no_numbers;
use crate::optimize::options::{Options, WhenSlower};
use crate::optimize::outcome::Declined;
use crate::optimize::proof::{Acceptance, Evidence, is_faster};
use crate::plan::Metric;
use crate::verify::{MetricScores, Task};

/// Measured this near to the latency target counts as met in the end.
const NEAR: f64 = 1.03;

/// Outputs that are numbers, the goals met, and a gain in speed.
pub(super) struct GoalsMet<'o> {
    pub options: &'o Options,
    /// The samples that judged the model gave no numbers where the original gives numbers.
    pub broken: bool,
}

impl Acceptance for GoalsMet<'_> {
    type Refusal = Declined;

    fn after_task(&self, evidence: &Evidence) -> Option<Declined> {
        let goals = self.options.goals;
        if self.broken || gives_no_numbers(&evidence.agreement, evidence.task.as_ref()) {
            return Some(Declined::NoNumbers);
        }
        let entry = evidence.entries.last()?;
        let (ratio, noise, ms) = (entry.ratio(), entry.ratio_noise(), entry.summary().median);
        if let Some(goal) = goals.limits[Metric::Latency]
            && ratio > (Latency { ms, ratio }).share_of(goal) * NEAR
        {
            return Some(Declined::LatencyMissed { goal, ratio, ms });
        }
        let own = evidence.metric.as_ref().map(MetricScores::drop);
        let drop = own.or(evidence.task.as_ref().map(Task::accuracy_drop));
        if let (Some(allowed), Some(drop)) = (goals.max_drop, drop)
            && drop > allowed
        {
            return Some(drop_too_great(evidence.metric.as_ref(), drop, allowed));
        }
        let sized = goals.any_counted();
        if is_faster(entry) || (self.options.when_slower == WhenSlower::Write && sized) {
            return None;
        }
        Some(Declined::GoalNotFaster { ratio, noise, sized })
    }

    fn note(&self, evidence: &Evidence) -> Option<String> {
        let entry = evidence.entries.last().filter(|e| !is_faster(e))?;
        Some(format!(
            "it was not measured to be faster ({:.3} ± {:.3}); it is written because slower models are allowed",
            entry.ratio(),
            entry.ratio_noise()
        ))
    }
}

/// A drop of a metric of the user's own is a number on its scale, any other one is a share.
fn drop_too_great(metric: Option<&MetricScores>, drop: f64, allowed: f64) -> Declined {
    let told = |v: f64, share: &str| match metric {
        Some(_) => format!("{v:.4}"),
        None => format!("{:.2} {share}", 100.0 * v),
    };
    let of = metric.map(|m| format!(" of the metric {}", m.name)).unwrap_or_default();
    Declined::DropTooGreat {
        drop: format!("{}{of}", told(drop, "points")),
        allowed: told(allowed, "%"),
    }
}

#[cfg(test)]
mod tests {
    use super::drop_too_great;
    use crate::verify::MetricScores;

    #[test]
    fn a_drop_of_one_s_own_metric_is_its_number() {
        let metric = MetricScores {
            name: "psnr".to_owned(),
            original: 31.5,
            rewritten: 29.25,
        };
        let own = drop_too_great(Some(&metric), metric.drop(), 0.01).to_string();
        assert_eq!(
            own,
            "the plan loses 2.2500 of the metric psnr, more than the 0.0100 that are allowed"
        );
        let share = drop_too_great(None, 0.031, 0.01).to_string();
        assert_eq!(
            share,
            "the plan loses 3.10 points, more than the 1.00 % that are allowed"
        );
    }
}
