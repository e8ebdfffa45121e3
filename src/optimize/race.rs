//! Whole models side by side, with sessions that stay loaded where making them takes long.

use super::session::Session;
use crate::device::{NamedTensor, NodeClock};
use crate::plan::Metric;
use crate::profile::{recalled, remember, whole_key};
use crate::verify::{CLEAR, Effort, Entry, benchmark_beside, benchmark_workloads, differ};
use crate::{Error, Result};

impl Session<'_> {
    /// Times models side by side, for choosing between them; ratios are to the first.
    ///
    /// # Errors
    /// When a model cannot be loaded or a run fails.
    pub fn race(&self, models: &[&[u8]], seconds: f64) -> Result<Vec<Entry>> {
        let timer = self.timer()?;
        if let Some(inputs) = self.loaded_for(&self.inputs)? {
            let mut loaded = self.loaded.borrow_mut();
            return match loaded.race(timer, models, inputs, seconds) {
                // One of them may be gone.
                Err(error) if !matches!(error, Error::Stopped) && loaded.without_helpers() => {
                    loaded.race(timer, models, inputs, seconds)
                }
                raced => raced,
            };
        }
        let effort = Effort::choosing(timer, seconds);
        benchmark_workloads(timer, models, &self.inputs, effort, &|_, _| {})
    }

    /// Benchmarks models for what is reported: in several sets of sessions, the first of which has those that stayed loaded, or in one
    /// where the database remembers a benchmark of the same models. A last set stays loaded where sessions do so at all.
    ///
    /// # Errors
    /// When a model cannot be loaded or a run fails.
    pub fn benchmark(&self, models: &[&[u8]], inputs: &[(Vec<NamedTensor>, f64)], seconds: f64) -> Result<Vec<Entry>> {
        let timer = self.timer()?;
        let effort = match self.options.goals.limits[Metric::Latency] {
            None => Effort::last(timer, seconds).unless_clear(timer),
            // What a goal asks for is near what was searched for.
            Some(_) => Effort::last(timer, seconds),
        };
        let progress = self.progress();
        if let Some(only) = self.loaded_for(inputs)? {
            let key = self.times_key(models, inputs, seconds);
            let before: Option<Vec<Entry>> = recalled(&self.prober, &key)?;
            let before = before.filter(|b| b.len() == models.len());
            // Sessions of an earlier job were as fresh as those that a further set would have.
            let effort = match &before {
                Some(_) => effort.once(),
                None => effort,
            };
            let report = |share: f64| progress((100.0 * share) as usize, 100);
            let loaded = &mut self.loaded.borrow_mut();
            let mut entries = match benchmark_beside(loaded, timer, models, only, effort, &report) {
                Err(error) if !matches!(error, Error::Stopped) && loaded.without_helpers() => {
                    benchmark_beside(loaded, timer, models, only, effort, &report)?
                }
                entries => entries?,
            };
            remember(&self.prober, &key, &entries)?;
            for (entry, before) in entries.iter_mut().zip(before.unwrap_or_default()) {
                entry.block_ratios.extend(before.block_ratios);
            }
            return Ok(entries);
        }
        benchmark_workloads(timer, models, inputs, effort, &progress)
    }

    /// What the database remembers of such a benchmark, where sessions take long to make and it leaves no doubt: without a goal for latency, a
    /// ratio that is far from 1.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn remembered_benchmark(
        &self,
        models: &[&[u8]],
        inputs: &[(Vec<NamedTensor>, f64)],
        seconds: f64,
    ) -> Result<Option<Vec<Entry>>> {
        if self.options.goals.limits[Metric::Latency].is_some() || self.loaded_for(inputs)?.is_none() {
            return Ok(None);
        }
        let known: Option<Vec<Entry>> = recalled(&self.prober, &self.times_key(models, inputs, seconds))?;
        Ok(known.filter(|k| k.len() == models.len() && differ(k, CLEAR)))
    }

    /// The inputs are random ones of the seed.
    fn times_key(&self, models: &[&[u8]], inputs: &[(Vec<NamedTensor>, f64)], seconds: f64) -> String {
        whole_key(&format!("times {}", self.options.seed), models, inputs, seconds)
    }

    /// The inputs that loaded models have in place, if these are they.
    pub(super) fn loaded_for<'i>(&self, inputs: &'i [(Vec<NamedTensor>, f64)]) -> Result<Option<&'i [NamedTensor]>> {
        Ok(match (self.timer()?.node_clock(), inputs) {
            (NodeClock::Device, [(only, _)]) if std::ptr::eq(inputs, self.inputs.as_slice()) => Some(only),
            _ => None,
        })
    }
}
