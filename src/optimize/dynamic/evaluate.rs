//! What gates lose on the evaluation samples, which decide where they are given: gates are searched on one half of them and judged on the
//! other.

use std::borrow::Cow;
use std::time::Duration;

use super::super::options::Mode;
use super::super::outcome::GateDrop;
use super::super::reporter::Step;
use super::judge::Judge;
use super::search::GateSearch;
use crate::Result;
use crate::data::Dataset;
use crate::gate::{Gate, GateForm, gated};
use crate::task::TaskKind;
use crate::verify::{Answers, Certainty, Interval, MetricJudge, MetricScores, Task, answers, task_of};

/// Samples that outputs other than classes are compared on, at most, in each half.
const COMPARED: usize = 512;

/// The user's metric has at least so long for the static model.
const LEAST: Duration = Duration::from_secs(60);

/// The evaluation samples.
pub(super) struct Halves<'a> {
    /// Those that gates are searched on; where there are no others, those that judge them, too.
    searched: Cow<'a, Dataset>,
    /// Those that judge what was found.
    others: Option<Cow<'a, Dataset>>,
    /// Whether both together are the samples that the static model is judged on.
    parted_here: bool,
}

impl<'a> Halves<'a> {
    /// `None` without evaluation samples. Where nothing is searched, all of them judge.
    pub fn of(search: &GateSearch<'a>) -> Option<Self> {
        let session = search.session;
        let eval = session.eval?;
        let whole = Self {
            searched: Cow::Borrowed(eval),
            others: None,
            parted_here: false,
        };
        if search.dynamics.keep.is_some() {
            return Some(whole);
        }
        if let Some(searched) = session.searched {
            return Some(Self {
                searched: Cow::Borrowed(searched),
                others: Some(Cow::Borrowed(eval)),
                parted_here: false,
            });
        }
        Some(match eval.halves(session.options.seed) {
            Some((searched, others)) => Self {
                searched: Cow::Owned(searched),
                others: Some(Cow::Owned(others)),
                parted_here: true,
            },
            None => whole,
        })
    }

    /// Whether what is searched on judges, too, as the samples are too few to be parted.
    pub fn too_few(&self, search: &GateSearch) -> bool {
        self.others.is_none() && search.dynamics.keep.is_none()
    }
}

/// The static model on the evaluation samples.
pub(super) struct Evaluation<'a> {
    searched: Before<'a>,
    others: Option<Before<'a>>,
    parted_here: bool,
}

/// What the static model gives for some samples.
enum Before<'a> {
    /// The answers of its task.
    Answers(&'a Dataset, Answers),
    /// What the user's own metric gives for it.
    Metric(&'a Dataset, Box<MetricJudge<'a>>),
    /// Other outputs.
    Outputs(Box<Judge<'a>>),
}

/// What gates lose on some samples.
struct Lost {
    drop: f64,
    answers: Option<Answers>,
    task: Option<Task>,
    metric: Option<MetricScores>,
}

/// What gates lose on the evaluation samples.
#[derive(Clone, Debug)]
pub(super) struct Evaluated {
    /// What decides.
    pub drop: GateDrop,
    /// For tasks that are not of numbers alone: on all samples that the static model is judged on, as far as gates were run on them.
    pub task: Option<Task>,
    /// By the user's own metric.
    pub metric: Option<MetricScores>,
}

impl<'a> GateSearch<'a> {
    /// Runs the static model on the evaluation samples.
    ///
    /// # Errors
    /// When a run or the user's metric fails.
    pub(super) fn evaluation(&'a self, halves: &'a Halves<'a>) -> Result<Evaluation<'a>> {
        let others = halves.others.as_deref().map(|data| self.before(data));
        Ok(Evaluation {
            searched: self.before(&halves.searched)?,
            others: others.transpose()?,
            parted_here: halves.parted_here,
        })
    }

    fn before(&'a self, data: &'a Dataset) -> Result<Before<'a>> {
        let session = self.session;
        session.reporter.step(Step::RunRealInputs);
        let progress = session.progress();
        if let Some(metric) = &session.options.metric {
            // What the job has found so far is not lost because time is short.
            let (limit, own) = (session.limit.at_least(LEAST), (session.device, self.base));
            let judge = MetricJudge::within(limit, metric.clone(), own, data, &progress)?;
            return Ok(Before::Metric(data, Box::new(judge)));
        }
        let reading = session.judged.reading.as_ref();
        let found = answers(session.device, self.base, data, reading, &progress)?;
        if task_of(&found, &found, Certainty::Unknown).is_some_and(|t| t.kind != TaskKind::Regress) {
            return Ok(Before::Answers(data, found));
        }
        let runs = COMPARED.div_ceil(data.batch().max(1)).min(data.distinct_runs());
        Ok(Before::Outputs(Box::new(Judge::new(self, data, 0..runs)?)))
    }

    /// What a model with these gates loses against the static one: on the samples that gates are searched on, and where it is at most
    /// `allowed` there, on the others.
    ///
    /// # Errors
    /// When a run or the user's metric fails.
    pub(super) fn evaluate(&self, before: &Evaluation, gates: &[&Gate], allowed: f64) -> Result<Evaluated> {
        self.session.reporter.step(Step::RunRealInputsDynamic);
        let Some(others) = &before.others else {
            let lost = self.lost(&before.searched, gates, Certainty::Interval)?;
            return Ok(lost.evaluated(before.searched.samples(), None));
        };
        let searched = self.lost(&before.searched, gates, Certainty::Unknown)?;
        if searched.drop > allowed {
            return Ok(searched.evaluated(before.searched.samples(), None));
        }
        let lost = self.lost(others, gates, Certainty::Interval)?;
        let whole = before.whole(&searched, &lost);
        let mut lost = lost.evaluated(others.samples(), Some(searched.drop));
        if before.parted_here && whole.is_some() {
            lost.task = whole;
        }
        Ok(lost)
    }

    fn lost(&self, before: &Before, gates: &[&Gate], certainty: Certainty) -> Result<Lost> {
        let session = self.session;
        let data = match before {
            Before::Outputs(judge) => {
                let masked = gated(self.model, self.graph, gates, GateForm::Masked)?;
                return Ok(Lost {
                    drop: judge.drop_of(&masked)?,
                    answers: None,
                    task: None,
                    metric: None,
                });
            }
            Before::Answers(data, _) | Before::Metric(data, _) => *data,
        };
        let mask = self.dynamics.mode == Mode::Mask;
        let model = self.model_of(gates, self.written_form())?;
        let single = gates.iter().any(|g| g.takes_one_sample()) && !mask;
        let data = if single { data.in_runs_of(1) } else { data.clone() };
        let progress = session.progress();
        if let Before::Metric(_, judge) = before {
            let scores = judge.compared_on(&data, &model, &progress)?;
            return Ok(Lost {
                drop: scores.drop(),
                answers: None,
                task: None,
                metric: Some(scores),
            });
        }
        let reading = session.judged.reading.as_ref();
        let after = answers(session.device, &model, &data, reading, &progress)?;
        let task = match before {
            Before::Answers(_, own) => task_of(own, &after, certainty),
            _ => None,
        };
        let drop = |t: &Task| if t.not_numbers > 0 { 1.0 } else { t.accuracy_drop() };
        Ok(Lost {
            drop: task.as_ref().map_or(1.0, drop),
            answers: Some(after),
            task,
            metric: None,
        })
    }
}

impl Before<'_> {
    fn samples(&self) -> usize {
        match self {
            Self::Answers(data, _) | Self::Metric(data, _) => data.count(),
            Self::Outputs(judge) => judge.samples(),
        }
    }
}

impl Evaluation<'_> {
    /// The task's numbers on both halves together.
    fn whole(&self, searched: &Lost, others: &Lost) -> Option<Task> {
        let before = match (&self.searched, self.others.as_ref()?) {
            (Before::Answers(_, a), Before::Answers(_, b)) => a.joined(b)?,
            _ => return None,
        };
        let after = searched.answers.as_ref()?.joined(others.answers.as_ref()?)?;
        task_of(&before, &after, Certainty::Unknown)
    }
}

impl Lost {
    fn evaluated(self, samples: usize, searched: Option<f64>) -> Evaluated {
        let known = self.task.as_ref().map(|t| t.drop_interval);
        Evaluated {
            drop: GateDrop {
                value: self.drop,
                interval: known.filter(|i| *i != UNKNOWN),
                samples,
                searched_on: searched,
            },
            task: self.task,
            metric: self.metric,
        }
    }
}

/// The interval of all shares, which tells nothing.
const UNKNOWN: Interval = Interval { low: 0.0, high: 1.0 };
