//! What users feel: the answers that models give for real inputs, by the number that their task is judged by.

use serde::{Deserialize, Serialize};

use super::Interval;
use super::classes::{Classes, classes};
use crate::Result;
use crate::data::Dataset;
use crate::device::Device;
use crate::task::{Answer, Compared, How, OutputValues, Reading, TaskKind, Truth, bootstrap};

/// One model's answers for all samples.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Those of a classifier.
    Classes(Classes),
    /// Those of another task.
    Others(OtherAnswers),
}

/// Answers that are no classes.
#[derive(Clone, Debug)]
pub struct OtherAnswers {
    /// What the model is for.
    pub(super) kind: TaskKind,
    /// The answers, in the order of samples.
    pub(super) answers: Vec<Answer>,
    /// What is right, where labels tell it.
    truth: Option<Vec<Truth>>,
    /// The score above which something found counts as there.
    pub(super) score: f32,
    /// Samples of runs with an output that is NaN or infinite somewhere.
    not_numbers: usize,
}

impl Answers {
    /// Those for all samples of two sets, one behind the other; `None` where they are of different kinds, or labels tell what is right for one only.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Classes(a), Self::Classes(b)) => a.joined(b).map(Self::Classes),
            (Self::Others(a), Self::Others(b)) => {
                let truth = match (&a.truth, &b.truth) {
                    (Some(x), Some(y)) => Some(x.iter().chain(y).cloned().collect()),
                    (None, None) => None,
                    _ => return None,
                };
                Some(Self::Others(OtherAnswers {
                    kind: a.kind,
                    answers: a.answers.iter().chain(&b.answers).cloned().collect(),
                    truth,
                    score: a.score,
                    not_numbers: a.not_numbers + b.not_numbers,
                }))
            }
            _ => None,
        }
    }
}

/// A number of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskNumber {
    /// Its name, such as `mAP50`.
    pub name: String,
    /// The rewritten model's, with the original's answers taken as right.
    pub agreement: Option<f64>,
    /// The original's and the rewritten model's by the labels.
    pub labelled: Option<(f64, f64)>,
}

/// How two models do on the same samples; shares from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What the models are for.
    #[serde(default)]
    pub kind: TaskKind,
    /// Samples.
    pub samples: usize,
    /// The task's own numbers, the one that decides first; empty for classifiers.
    #[serde(default)]
    pub numbers: Vec<TaskNumber>,
    /// Samples whose best class is the label: the original's share and the rewritten model's.
    pub top1: Option<(f64, f64)>,
    /// Samples with the label among the five best classes.
    pub top5: Option<(f64, f64)>,
    /// The share of samples for which both give the same best class; for other tasks the number that decides, with the original's
    /// answers taken as right.
    pub agreement: f64,
    /// What the number of samples tells of [`Task::accuracy_drop`].
    pub drop_interval: Interval,
    /// By how many more samples than for the original a run gave NaN or infinity.
    pub not_numbers: usize,
}

impl Task {
    /// Lost of the number that decides, top-1 for classifiers; without labels, what is missing to full agreement.
    pub fn accuracy_drop(&self) -> f64 {
        let labelled = self.numbers.first().and_then(|n| n.labelled);
        let right = self.top1.or(labelled);
        right.map_or(1.0 - self.agreement, |(before, after)| before - after)
    }

    /// The name of the number that decides.
    pub fn number(&self) -> &str {
        match (self.numbers.first(), self.top1) {
            (Some(number), _) => &number.name,
            (None, Some(_)) => "top-1",
            (None, None) => "agreement",
        }
    }
}

/// Runs a model on all samples and reads its answers. `report` is given how many runs of how many are done.
///
/// # Errors
/// When a run fails, or a label is no class of the model's.
pub fn answers(
    device: &dyn Device,
    model: &[u8],
    data: &Dataset,
    reading: Option<&Reading>,
    report: &dyn Fn(usize, usize),
) -> Result<Answers> {
    let Some(reading) = reading.filter(|r| !matches!(r.how, How::Classes { .. })) else {
        return classes(device, model, data, report).map(Answers::Classes);
    };
    let mut found = OtherAnswers {
        kind: reading.kind,
        answers: Vec::new(),
        truth: None,
        score: reading.layout().map_or(0.0, |l| l.score),
        not_numbers: 0,
    };
    let mut inputs = (0..data.runs()).map(|k| data.run(k).inputs);
    let (mut k, mut truth) = (0, Vec::new());
    device.each_output(model, &mut inputs, &mut |outputs| {
        let run = data.run(k);
        k += 1;
        report(k, data.runs());
        let outputs = OutputValues::all(&outputs);
        let wrong = outputs.iter().any(|o| o.values.iter().any(|v| !v.is_finite()));
        found.not_numbers += if wrong { run.samples - run.repeated } else { 0 };
        found
            .answers
            .extend(reading.answers(&outputs, run.samples, run.repeated));
        truth.extend((run.repeated..run.samples).filter_map(|i| Truth::labelled(&run, i, reading)));
    })?;
    found.truth = (truth.len() == found.answers.len() && !truth.is_empty()).then_some(truth);
    Ok(Answers::Others(found))
}

/// What is to be told of a drop besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// An interval, which takes time where samples are drawn again and again.
    Interval,
    /// Nothing: the interval is then that of all shares.
    Unknown,
}

/// How two models' answers for the same samples compare; `None` when nothing can be told.
pub fn task_of(before: &Answers, after: &Answers, certainty: Certainty) -> Option<Task> {
    match (before, after) {
        (Answers::Classes(a), Answers::Classes(b)) => of_classes(a, b),
        (Answers::Others(a), Answers::Others(b)) => of_others(a, b, certainty),
        _ => None,
    }
}

/// How two models' classes for the same samples compare; `None` when they hold none.
fn of_classes(a: &Classes, b: &Classes) -> Option<Task> {
    let samples = a.best.len();
    if samples == 0 || samples != b.best.len() {
        return None;
    }
    let share = |n: usize| n as f64 / samples as f64;
    let same = a
        .best
        .iter()
        .zip(&b.best)
        .filter(|(x, y)| x.first() == y.first())
        .count();
    let right = a.right.zip(b.right);
    let drop_interval = if right.is_some() {
        let only = |x: &[bool], y: &[bool]| x.iter().zip(y).filter(|(x, y)| **x && !**y).count();
        Interval::of_paired(only(&a.hits, &b.hits), only(&b.hits, &a.hits), samples)
    } else {
        Interval::of_share(samples - same, samples)
    };
    Some(Task {
        kind: TaskKind::Classify,
        numbers: Vec::new(),
        drop_interval,
        not_numbers: b.not_numbers.saturating_sub(a.not_numbers),
        samples,
        top1: right.map(|(x, y)| (share(x.0), share(y.0))),
        top5: right.map(|(x, y)| (share(x.1), share(y.1))),
        agreement: share(same),
    })
}

/// The numbers of another task, and what so many samples tell of the one that decides.
fn of_others(before: &OtherAnswers, after: &OtherAnswers, certainty: Certainty) -> Option<Task> {
    let own: Vec<Truth> = before.answers.iter().map(|a| Truth::of(a, before.score)).collect();
    let agreed = Compared::new(&own, &after.answers);
    let labelled = before.truth.as_ref().and_then(|truth| {
        let both = Compared::new(truth, &before.answers).zip(Compared::new(truth, &after.answers))?;
        Some((both.0.numbers()?, both.1.numbers()?, both))
    });
    let agreement = agreed.as_ref().and_then(Compared::numbers);
    let names: Vec<&str> = match (&labelled, &agreement) {
        (Some((numbers, ..)), _) | (None, Some(numbers)) => numbers.iter().map(|n| n.name).collect(),
        (None, None) => return None,
    };
    let numbers: Vec<TaskNumber> = names
        .iter()
        .enumerate()
        .map(|(k, name)| TaskNumber {
            name: (*name).to_owned(),
            agreement: agreement.as_ref().and_then(|n| n.get(k)).map(|n| n.value),
            labelled: labelled.as_ref().map(|(a, b, _)| (a[k].value, b[k].value)),
        })
        .collect();
    let samples = before.answers.len();
    let drops = |times: &[usize]| match (&labelled, &agreed) {
        (Some((_, _, (a, b))), _) => Some(a.main_of(times)? - b.main_of(times)?),
        (None, Some(agreed)) => Some(1.0 - agreed.main_of(times)?),
        (None, None) => None,
    };
    let interval = match certainty {
        Certainty::Interval => bootstrap(samples, 1, drops),
        Certainty::Unknown => None,
    };
    let (low, high) = interval.unwrap_or((0.0, 1.0));
    Some(Task {
        kind: before.kind,
        samples,
        agreement: numbers.first().and_then(|n| n.agreement).unwrap_or(0.0),
        numbers,
        top1: None,
        top5: None,
        drop_interval: Interval { low, high },
        not_numbers: after.not_numbers.saturating_sub(before.not_numbers),
    })
}
