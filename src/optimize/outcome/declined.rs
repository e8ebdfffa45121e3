//! Why a job writes no static model.

use std::fmt;

use crate::optimize::options::{Amount, limit_text};
use crate::plan::Metric;

/// Why a job writes no static model. It displays as the message for the user, without a full stop.
#[derive(Clone, Debug, PartialEq)]
pub enum Declined {
    /// No width of the model may change, whatever is measured; with the reason and what would help.
    NothingToChange(String),
    /// The recorded profile has no time of any layer.
    ProfileKnowsNothing,
    /// The profile predicts no gain beyond the error of predictions.
    NoPredictedGain,
    /// A lossless plan was applied and the outputs differ.
    OutputsDiffer,
    /// The time budget ended before a lossless plan was found.
    NoTimeToSearch,
    /// No other width is faster.
    AllWidthsFastest,
    /// No plan was measured to be faster.
    NoFasterPlan,
    /// The chosen plan was not faster in the last benchmark.
    NotFasterAgain,
    /// The plan reaches the goal and is not faster than the original.
    GoalNotFaster {
        /// Latency over the original's.
        ratio: f64,
        /// Half the width of the ratio's 95 % interval.
        noise: f64,
        /// Whether a goal limits a counted metric.
        sized: bool,
    },
    /// Outputs are NaN or infinite where the original's are numbers.
    NoNumbers,
    /// The chosen plan missed the latency goal in the last benchmark.
    LatencyMissed {
        /// What was asked for.
        goal: Amount,
        /// Latency over the original's.
        ratio: f64,
        /// Latency in milliseconds.
        ms: f64,
    },
    /// The chosen plan loses more on the evaluation samples than is allowed.
    DropTooGreat {
        /// What is lost, as it is told.
        drop: String,
        /// What may be lost, as it is told.
        allowed: String,
    },
    /// No measured plan reached the latency goal.
    LatencyNotReached {
        /// What was asked for.
        goal: Amount,
        /// The fastest measured latency over the original's.
        ratio: f64,
        /// The same in milliseconds.
        ms: f64,
    },
    /// A goal is below what the narrowest plan uses.
    OutOfReach {
        /// What is limited.
        metric: Metric,
        /// What was asked for.
        goal: Amount,
        /// The least that a plan uses, over the original's use; `None` where it is not known.
        least: Option<f64>,
    },
    /// Each limit can be met, all of them together cannot.
    LimitsTogether,
    /// No plan was measured for the latency goal.
    NothingMeasured,
    /// The time budget ended while plans for the goals were searched for.
    NoTimeForGoals,
    /// A limit on the accuracy drop has no samples to measure it on.
    DropNeedsSamples,
    /// A limit on the accuracy drop has no answers to measure it by.
    DropNeedsAnswers,
    /// Every plan that kept the drop on the samples it was searched on loses more on the others.
    DropOnOthers {
        /// The least that was lost there, as it is told.
        drop: String,
        /// What may be lost, as it is told.
        allowed: String,
    },
    /// The time budget ended before a plan within the allowed drop was found.
    NoTimeForDrop {
        /// Accuracy that may be lost, 0 to 1.
        allowed: f64,
    },
    /// Every plan loses more than the allowed drop.
    NoPlanWithinDrop {
        /// Accuracy that may be lost, 0 to 1.
        allowed: f64,
    },
    /// One of the above, after a search that the time budget cut short.
    CutShort(Box<Declined>),
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToChange(why) => f.write_str(why),
            Self::ProfileKnowsNothing => {
                f.write_str("the profile knows none of this model's layers at these input shapes")
            }
            Self::NoPredictedGain => {
                f.write_str("the profile predicts no plan that is faster by 3 %, which predictions may be off by")
            }
            Self::OutputsDiffer => f.write_str("the rewritten model's outputs differ; please report this model"),
            Self::NoTimeToSearch => f.write_str("the time was up before a faster plan was found"),
            Self::AllWidthsFastest => f.write_str("every width that may change stands where this machine runs it best"),
            Self::NoFasterPlan => f.write_str("no plan was measured to be faster than the original beyond the noise"),
            Self::NotFasterAgain => {
                f.write_str("the best plan was not faster by 1 % beyond the noise when measured again")
            }
            Self::GoalNotFaster { ratio, noise, sized } => write!(
                f,
                "the plan that reaches the goal was not measured to be faster than the original by 1 % beyond the noise \
                 ({ratio:.3} ± {noise:.3}){}",
                if *sized {
                    "; narrower layers do not make it faster here"
                } else {
                    ""
                }
            ),
            Self::NoNumbers => {
                f.write_str("the narrower model's outputs are NaN or infinite where the original's are numbers")
            }
            Self::LatencyMissed { goal, ratio, ms } => {
                write!(f, "measured again, the plan takes {ratio:.3}x ({ms:.3} ms), not {goal}")
            }
            Self::DropTooGreat { drop, allowed } => {
                write!(f, "the plan loses {drop}, more than the {allowed} that are allowed")
            }
            Self::LatencyNotReached { goal, ratio, ms } => write!(
                f,
                "a latency of {goal} was not reached; the fastest plan was measured at {ratio:.3}x ({ms:.3} ms)"
            ),
            Self::OutOfReach { metric, goal, least } => {
                write!(f, "{}: {} cannot be reached", metric.name(), limit_text(*metric, *goal))?;
                match least {
                    Some(least) => write!(f, "; the least is {least:.3}x"),
                    None => Ok(()),
                }
            }
            Self::LimitsTogether => f.write_str("no plan was found that meets the limits together"),
            Self::NothingMeasured => f.write_str("no plan could be measured"),
            Self::NoTimeForGoals => f.write_str("the time was up while plans were searched for"),
            Self::DropNeedsSamples => f.write_str("there are no samples to measure the accuracy drop on"),
            Self::DropNeedsAnswers => f.write_str(
                "the model's own answers on the samples leave nothing to measure a drop by: it finds nothing in them, or its outputs hold \
                 no numbers",
            ),
            Self::DropOnOthers { drop, allowed } => write!(
                f,
                "every plan that keeps the {allowed} that are allowed on the samples it was searched on loses more on the others, {drop} at \
                 least"
            ),
            Self::NoTimeForDrop { allowed } => write!(
                f,
                "the time budget was up before a plan was found that loses at most {:.2} %",
                100.0 * allowed
            ),
            Self::NoPlanWithinDrop { allowed } => write!(f, "no plan loses at most {:.2} %", 100.0 * allowed),
            Self::CutShort(why) => write!(f, "{why}; the time budget was up before all widths were looked at"),
        }
    }
}

impl serde::Serialize for Declined {
    /// As the message.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Why a search ends without a plan: it declines, or a run fails.
#[derive(Debug)]
pub(crate) enum NoPlan {
    /// There is a reason for the user.
    Declined(Declined),
    /// Something failed.
    Failed(crate::Error),
}

impl From<Declined> for NoPlan {
    fn from(why: Declined) -> Self {
        Self::Declined(why)
    }
}

impl From<crate::Error> for NoPlan {
    fn from(error: crate::Error) -> Self {
        Self::Failed(error)
    }
}
