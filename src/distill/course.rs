//! Steps from the first to the last: which rate, how many, and when weights are judged.

use super::choice::{Choice, Judged};
use super::pace::Pace;
use super::rate::{RATES, rate};
use super::teaching::Schedule;
use super::training::Training;
use crate::Result;
use crate::score::Watch;

/// How often weights are judged.
const JUDGED: usize = 8;
/// Batches of other views that weights are judged on, at most.
const VIEWS: usize = 4;
/// Steps of the whole for one such batch of a judgement, so that judging takes some eighth of the time.
const PER_VIEWS: usize = 9;
/// With fewer steps the largest rate is taken untried.
const FEW: usize = 96;
/// The share of the steps that one rate is tried for.
const TRIED: usize = 16;

/// What became of a step.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Made,
    /// None was made, as gradients are no numbers.
    NoNumbers,
    /// There is no time for it.
    NoTime,
}

/// Steps on their way.
pub(super) struct Course<'c> {
    /// What the weights from before lose by the judge.
    before: f64,
    judge: &'c dyn Fn(&Training) -> Result<f64>,
    /// Steps that there will be in all.
    planned: usize,
    pace: Pace,
    choice: Option<Choice>,
    /// The last step that weights were judged at.
    judged_at: usize,
    watch: Watch<'c>,
}

impl<'c> Course<'c> {
    /// From weights that lose `before`.
    pub fn new(before: f64, judge: &'c dyn Fn(&Training) -> Result<f64>, schedule: Schedule, watch: Watch<'c>) -> Self {
        Self {
            before,
            judge,
            planned: schedule.steps,
            pace: Pace::new(schedule.steps, schedule.at_most),
            choice: None,
            judged_at: 0,
            watch,
        }
    }

    /// All steps.
    ///
    /// # Errors
    /// When a run fails.
    pub fn run(&mut self, training: &mut Training) -> Result<()> {
        let Some(most) = self.best_rate(training)? else {
            return Ok(());
        };
        let start = self.pace.made;
        while self.pace.made < self.planned {
            let of = self.planned - start;
            match self.step(training, rate(most, self.pace.made - start, of))? {
                Step::Made => {}
                Step::NoTime => {
                    self.cut_off(training)?;
                    break;
                }
                Step::NoNumbers => break,
            }
            let made = self.pace.made - start;
            if made.is_multiple_of(of.div_ceil(JUDGED)) || self.pace.made == self.planned {
                self.judged(training)?;
            }
        }
        (self.watch.progress)(self.planned, self.planned);
        Ok(())
    }

    /// Steps that were made, and the weights among them.
    pub fn ended(self) -> (usize, Choice) {
        let before = Judged {
            step: 0,
            loss: self.before,
            on_views: None,
        };
        (self.pace.made, self.choice.unwrap_or_else(|| Choice::new(before, true)))
    }

    /// The rate with which some of the steps lose least: of two that follow each other, the smaller one where it does better. `None` where no step
    /// can be made.
    fn best_rate(&mut self, training: &mut Training) -> Result<Option<f64>> {
        let [largest, ..] = RATES;
        while self.planned >= FEW && !self.pace.is_known() {
            match self.step(training, rate(largest, self.pace.made, self.planned))? {
                Step::Made => {}
                Step::NoNumbers => break,
                Step::NoTime => return self.cut_off(training),
            }
        }
        if self.planned < FEW {
            return Ok(Some(largest));
        }
        let steps = self.planned / TRIED;
        let mut best: Option<(f64, f64)> = None;
        for most in RATES {
            training.begin_again();
            let mut last = Step::Made;
            for k in 0..steps {
                last = self.step(training, rate(most, k, steps))?;
                if last != Step::Made {
                    break;
                }
            }
            let total = match last {
                Step::Made => self.judged(training)?,
                // A smaller rate may stay among numbers.
                Step::NoNumbers => f64::INFINITY,
                Step::NoTime => return self.cut_off(training),
            };
            if best.is_some_and(|(_, least)| total >= least && least < f64::INFINITY) {
                break;
            }
            best = Some((most, total));
        }
        training.begin_again();
        Ok(best.map(|(most, _)| most))
    }

    /// Where time ends, what was reached counts: there is no rate to go on with.
    fn cut_off(&mut self, training: &mut Training) -> Result<Option<f64>> {
        if self.pace.made > self.judged_at {
            self.judged(training)?;
        }
        Ok(None)
    }

    /// One step, if it can be made.
    fn step(&mut self, training: &mut Training, rate: f64) -> Result<Step> {
        self.watch.limit.check()?;
        if self.watch.limit.is_up() || self.pace.is_late() {
            return Ok(Step::NoTime);
        }
        (self.watch.progress)(self.pace.made, self.planned);
        if !training.step(rate as f32)? {
            return Ok(Step::NoNumbers);
        }
        if let Some(planned) = self.pace.step() {
            self.planned = planned;
        }
        Ok(Step::Made)
    }

    /// What the weights lose now, samples and views together; they are taken if that is least.
    fn judged(&mut self, training: &mut Training) -> Result<f64> {
        // How many steps there will be, and so how many views judging may take, is known by now.
        let count = (self.planned / (JUDGED * PER_VIEWS)).clamp(1, VIEWS);
        let choice = match &mut self.choice {
            Some(choice) => choice,
            None => {
                let before = training.before(self.before, count)?;
                self.choice.insert(Choice::new(before, training.is_judged_alike()))
            }
        };
        let judged = Judged {
            step: self.pace.made,
            loss: (self.judge)(training)?,
            on_views: training.on_views(count)?,
        };
        choice.offer(judged, &training.weights);
        let total = choice.total(judged);
        self.pace.mark();
        self.judged_at = self.pace.made;
        Ok(total)
    }
}
