//! How long each step of a job takes.

use std::cell::RefCell;
use std::time::Instant;

use serde::Serialize;

use super::reporter::{ProgressReporter, Step};

/// A step and its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTime {
    /// What was done.
    pub step: String,
    /// For how long.
    pub seconds: f64,
}

/// Passes everything on, and keeps the time that each step takes.
pub struct Stopwatch<'r> {
    inner: &'r dyn ProgressReporter,
    steps: RefCell<Vec<(Step, Instant)>>,
}

impl<'r> Stopwatch<'r> {
    /// A stopwatch in front of `inner`.
    pub fn new(inner: &'r dyn ProgressReporter) -> Self {
        Self {
            inner,
            steps: RefCell::default(),
        }
    }

    /// The steps up to now, in the order of their first begin; a step that comes twice is one.
    pub fn times(&self) -> Vec<StepTime> {
        let steps = self.steps.borrow();
        let ends = steps.iter().skip(1).map(|s| s.1).chain([Instant::now()]);
        let mut times: Vec<StepTime> = Vec::new();
        for ((step, begin), end) in steps.iter().zip(ends) {
            let (step, seconds) = (step.to_string(), end.duration_since(*begin).as_secs_f64());
            match times.iter_mut().find(|t| t.step == step) {
                Some(known) => known.seconds += seconds,
                None => times.push(StepTime { step, seconds }),
            }
        }
        times
    }
}

impl ProgressReporter for Stopwatch<'_> {
    fn step(&self, step: Step) {
        self.steps.borrow_mut().push((step, Instant::now()));
        self.inner.step(step);
    }

    fn progress(&self, done: usize, total: usize) {
        self.inner.progress(done, total);
    }

    fn note(&self, what: &str) {
        self.inner.note(what);
    }

    fn done(&self) {
        self.inner.done();
    }

    fn aside(&self, show: &dyn Fn()) {
        self.inner.aside(show);
    }
}

#[cfg(test)]
mod tests {
    use super::{ProgressReporter, Step, Stopwatch};
    use crate::optimize::NoReporter;

    #[test]
    fn a_step_that_comes_twice_is_one() {
        let watch = Stopwatch::new(&NoReporter);
        for step in [Step::ReadModel, Step::TimeWidths, Step::ReadModel] {
            watch.step(step);
        }
        let steps: Vec<String> = watch.times().into_iter().map(|t| t.step).collect();
        assert_eq!(steps, ["reading the model", "timing widths"]);
    }
}
