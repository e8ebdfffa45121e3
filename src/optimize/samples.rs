//! Samples for calibration: those that are fitted on, those that choose, and those that the loss is told on.

use std::ops::Range;

use crate::data::Dataset;
use crate::score::LossSpec;

/// Samples that losses of single groups are measured on, at most.
pub(super) const JUDGES: usize = 256;

/// Samples for calibration: those that weights are fitted on, and those that they are judged on.
#[derive(Clone, Debug)]
pub struct Samples {
    /// All of them.
    pub data: Dataset,
    /// Runs to fit on.
    pub fit: Range<usize>,
    /// Runs to choose by: what groups lose, which weights and which plan are better. Nothing is ever fitted on them, unless there is
    /// only one run: see [`Samples::held_out`].
    pub judge: Range<usize>,
    /// Runs that nothing is fitted on or chosen by: the loss is told on them. Those of `judge` where there are none besides.
    pub told: Range<usize>,
    /// Samples that were given and not taken, as more would not have fit in memory.
    pub left_out: usize,
    /// How outputs are judged on them.
    pub judged: LossSpec,
}

impl Samples {
    /// Four fifths to fit on, half of the rest to choose by, and half to tell the loss on. No sample is in two of them.
    pub fn new(data: Dataset) -> Self {
        let runs = data.distinct_runs();
        let split = if runs > 1 { (runs * 4 / 5).clamp(1, runs - 1) } else { 0 };
        let half = if runs - split > 1 {
            split + (runs - split) / 2
        } else {
            runs
        };
        Self {
            data,
            fit: 0..if runs > 1 { split } else { runs },
            judge: split..half,
            told: if half < runs { half..runs } else { split..runs },
            left_out: 0,
            judged: LossSpec::default(),
        }
    }

    /// The same with outputs judged so.
    #[must_use]
    pub fn judged_by(self, judged: &LossSpec) -> Self {
        Self {
            judged: judged.clone(),
            ..self
        }
    }

    /// Whether what is judged on was not fitted on: `false` where the samples make one run only.
    pub fn held_out(&self) -> bool {
        self.fit.end <= self.judge.start
    }

    /// Whether what the loss is told on neither was fitted on nor chose anything.
    pub fn unseen(&self) -> bool {
        self.held_out() && self.judge.end <= self.told.start
    }

    /// Runs to choose by that nothing is fitted on; empty where the samples make one run only.
    pub fn held_out_runs(&self) -> Range<usize> {
        match self.held_out() {
            true => self.judge.clone(),
            false => self.fit.end..self.fit.end,
        }
    }

    /// Runs that say in which order channels go, and what the others then make up for: those that are fitted on, less what more runs
    /// are needed to say what that loses ([`Self::lost_on`]), by at most half.
    pub(super) fn ranked_on(&self, lost: usize) -> Range<usize> {
        let needed = self.runs_of(lost).saturating_sub(self.held_out_runs().len());
        let most = self.fit.len() / 2;
        self.fit.start..self.fit.end - needed.min(most)
    }

    /// Runs that say what groups lose, of up to so many samples: none of [`Self::ranked_on`], where any are held out. No weights that are
    /// written come of either.
    pub(super) fn lost_on(&self, lost: usize) -> Range<usize> {
        if !self.held_out() {
            return self.few(lost);
        }
        let from = self.judge.end.saturating_sub(self.runs_of(lost));
        from.max(self.ranked_on(lost).end)..self.judge.end
    }

    /// How many runs hold so many samples.
    fn runs_of(&self, samples: usize) -> usize {
        samples.div_ceil(self.data.batch().max(1)).max(1)
    }

    /// Some of the runs to judge on, up to so many samples (at least one run).
    pub(super) fn few(&self, samples: usize) -> Range<usize> {
        let runs = self.runs_of(samples).min(self.judge.len().max(1));
        self.judge.start..(self.judge.start + runs).min(self.judge.end)
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;
    use crate::data::Dataset;
    use crate::device::InputSpec;
    use crate::onnx::Dtype;

    #[test]
    fn no_sample_is_both_fitted_on_and_judged_on() -> crate::Result<()> {
        for (open, batch) in [(true, 1), (false, 1), (false, 4), (false, 7)] {
            let spec = InputSpec {
                name: "x".to_owned(),
                dims: vec![batch, 2],
                dtype: Dtype::Float,
                open: if open { vec![0] } else { vec![] },
                assumed: vec![],
            };
            for count in [8, 11, 64, 1024, 1030] {
                let samples = Samples::new(Dataset::random(std::slice::from_ref(&spec), count, 1)?);
                let few = samples.few(512);
                assert!(few.start >= samples.judge.start && few.end <= samples.judge.end && !few.is_empty());
                let values = |runs: std::ops::Range<usize>| -> Vec<Vec<u8>> {
                    let inputs = runs.flat_map(|k| samples.data.run(k).inputs);
                    let rows = inputs.flat_map(|(_, t)| t.bytes.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>());
                    rows.collect()
                };
                let (ranked, lost) = (samples.ranked_on(512), samples.lost_on(512));
                assert!(!ranked.is_empty() && !lost.is_empty());
                if samples.held_out() {
                    assert!(ranked.end <= lost.start && lost.end <= samples.judge.end);
                    assert!(2 * ranked.len() >= samples.fit.len());
                    // A hundred that choose would say little of what groups lose.
                    let many = |runs: std::ops::Range<usize>| samples.data.samples_of(runs);
                    assert!(count < 1024 || many(lost.clone()) > 4 * many(samples.judge.clone()));
                }
                let (fit, judge) = (values(samples.fit.clone()), values(few));
                if samples.unseen() {
                    let told = values(samples.told.clone());
                    assert!(told.iter().all(|t| !fit.contains(t) && !judge.contains(t)));
                }
                if samples.held_out() {
                    assert!(judge.iter().all(|j| !fit.contains(j)), "{open} {batch} {count}");
                } else {
                    assert_eq!(samples.data.distinct_runs(), 1);
                }
            }
        }
        Ok(())
    }
}
