//! Two models' answers for the same samples: the numbers, and what is worth a look.

use super::shown::{Shown, shown};
use super::task::{Certainty, Task, answers, task_of};
use crate::Result;
use crate::data::Dataset;
use crate::device::Device;
use crate::task::Reading;

/// How two models do on the same samples.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedTask {
    /// In numbers.
    pub task: Task,
    /// Some of the samples, those where answers are furthest apart first.
    pub shown: Vec<Shown>,
}

/// Both models on all samples; `None` when their answers cannot be compared.
///
/// # Errors
/// When a run fails.
pub fn compare_task(
    device: &dyn Device,
    [original, rewritten]: [&[u8]; 2],
    data: &Dataset,
    reading: Option<&Reading>,
    report: &dyn Fn(usize, usize),
) -> Result<Option<ComparedTask>> {
    let before = answers(device, original, data, reading, &|done, runs| report(done, 2 * runs))?;
    let after = answers(device, rewritten, data, reading, &|done, runs| {
        report(runs + done, 2 * runs)
    })?;
    Ok(task_of(&before, &after, Certainty::Interval).map(|task| ComparedTask {
        task,
        shown: shown(&before, &after),
    }))
}
