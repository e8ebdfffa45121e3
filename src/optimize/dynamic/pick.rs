//! One choice of gates: by what they save and lose, cut back by what each is worth to the whole model.

use std::ops::Range;

use super::super::options::Placement;
use super::super::outcome::Dynamic;
use super::super::reporter::Step;
use super::candidate::GateCandidate;
use super::choose::{Bounds, Choice, fastest, picked, saved, within, worth_judging};
use super::judge::Judge;
use super::search::GateSearch;
use crate::Result;
use crate::data::Dataset;

/// Gates whose worth to the whole model is measured, for so many seconds, and the gain that makes one worth nothing.
const ENTRIES: usize = 8;
const SECONDS: f64 = 6.0;
const WORTHLESS: f64 = 0.002;

impl GateSearch<'_> {
    /// The judge of the gates, which has measured what each loses alone; `None` where a share is given and nothing can be judged.
    pub(super) fn judge<'j>(
        &'j self,
        candidates: &mut [Vec<GateCandidate>],
        data: &'j Dataset,
        runs: Range<usize>,
    ) -> Result<Option<Judge<'j>>> {
        if self.dynamics.keep.is_some() && self.session.samples.is_none() {
            return Ok(None);
        }
        self.session.reporter.step(Step::JudgeGates);
        let judge = Judge::new(self, data, runs)?;
        if self.dynamics.keep.is_none() {
            for list in candidates.iter_mut() {
                // What is not judged cannot be chosen.
                let wanted = worth_judging(list, self.dynamics.placement);
                for (at, candidate) in list.iter_mut().enumerate() {
                    candidate.timing_only |= !wanted.contains(&at);
                }
            }
            judge.losses(candidates, &|o| !o.timing_only)?;
        }
        Ok(Some(judge))
    }

    /// The gates by the user's share, or by what they save within bounds; and what they lose on held-out calibration samples.
    pub(super) fn choose(
        &self,
        candidates: &[Vec<GateCandidate>],
        judge: Option<&Judge>,
        bounds: Bounds,
        dynamic: &mut Dynamic,
    ) -> Result<(Choice, Option<f64>)> {
        let placement = self.dynamics.placement;
        if self.dynamics.keep.is_some() {
            let choice = fastest(candidates, placement);
            let gates: Vec<&GateCandidate> = picked(candidates, &choice).collect();
            let drop = judge.map(|judge| judge.accuracy_drop(&gates)).transpose()?;
            return Ok((choice, drop));
        }
        let none = vec![None; candidates.len()];
        let Some(judge) = judge else { return Ok((none, None)) };
        self.session.reporter.step(Step::ChooseGates);
        let found = within(candidates, judge, bounds)?;
        let few = judge.samples() < (2.0 / self.dynamics.most_drop.max(1e-9)) as usize;
        if found.is_some() && few && self.session.eval.is_none() && dynamic.notes.is_empty() {
            dynamic.notes.push(format!(
                "the drop was judged on {} samples; more calibration samples tell small drops better",
                judge.samples()
            ));
        }
        Ok(found.map_or((none, None), |f| (f.choice, Some(f.drop))))
    }

    /// The choice without gates that do not make the whole model faster.
    pub(super) fn cut_back(&self, candidates: &[Vec<GateCandidate>], choice: Choice) -> Result<Choice> {
        let mut at: Vec<usize> = (0..choice.len()).filter(|&b| choice[b].is_some()).collect();
        if at.len() < 2 {
            return Ok(choice);
        }
        // The least certain first.
        let gain = |b: &usize| {
            choice[*b]
                .and_then(|o| candidates[*b].get(o))
                .map_or(0.0, |o| saved(o, Placement::WherePaying))
        };
        at.sort_by(|a, b| gain(a).total_cmp(&gain(b)));
        at.truncate(ENTRIES);
        self.session.reporter.step(Step::MeasureModels);
        let without = |b: usize| {
            let mut less = choice.clone();
            less[b] = None;
            less
        };
        let choices: Vec<Choice> = [choice.clone()]
            .into_iter()
            .chain(at.iter().map(|&b| without(b)))
            .collect();
        let mut models = vec![self.base.to_vec()];
        for choice in &choices {
            models.push(self.model_of(
                &picked(candidates, choice).map(|o| &o.gate).collect::<Vec<_>>(),
                self.dynamics.form(),
            )?);
        }
        let entries: Vec<&[u8]> = models.iter().map(Vec::as_slice).collect();
        let benchmarked = self.session.race(&entries, self.session.seconds(SECONDS))?;
        let whole = benchmarked[1].ratio();
        let mut kept = choice;
        for (entry, &b) in benchmarked[2..].iter().zip(&at) {
            if entry.ratio() < whole - WORTHLESS {
                kept[b] = None;
            }
        }
        Ok(kept)
    }
}
