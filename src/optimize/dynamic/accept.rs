//! Gates that stand: chosen by what they lose, cut back by what they save, and looked at on the evaluation samples.

use std::ops::Range;

use super::super::options::Placement;
use super::super::outcome::{Dynamic, NoGates};
use super::super::reporter::Step;
use super::candidate::GateCandidate;
use super::choose::{Bounds, Choice, fastest, picked, saved, within, worth_judging};
use super::evaluate::Accepted;
use super::judge::Judge;
use super::search::GateSearch;
use super::train::Lessons;
use crate::Result;
use crate::data::Dataset;
use crate::gate::Gate;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;

/// Choices that are made, each more careful, while the evaluation samples lose too much.
const ATTEMPTS: usize = 4;
/// A more careful choice loses, gate by gate, so much of what the one before loses: by how much that was too much, within these.
const LEAST_STEP: f64 = 0.3;
const MOST_STEP: f64 = 0.8;
/// What gates may lose with the weights as they are, over what is allowed with weights of their own, and in all.
const MADE_UP: f64 = 2.5;
const MOST_UNFITTED: f64 = 0.4;
/// Gates whose worth to the whole model is measured, for so many seconds, and the gain that makes one worth nothing.
const ENTRIES: usize = 8;
const SECONDS: f64 = 6.0;
const WORTHLESS: f64 = 0.002;

impl GateSearch<'_> {
    /// Chooses gates by what they lose on held-out calibration samples. Where evaluation samples are given, these decide: as
    /// long as the choice loses too much there, a more careful one is made. Gates that lose too much with weights of their own give way to
    /// those that lose little with the model's.
    pub(super) fn accepted(
        &self,
        candidates: &[Vec<GateCandidate>],
        judge: Option<&Judge>,
        lessons: Option<Lessons>,
        dynamic: &mut Dynamic,
    ) -> Result<Accepted> {
        let accepted = self.attempts(candidates, judge, lessons, dynamic)?;
        let any = accepted.chosen.iter().any(Option::is_some);
        if any || lessons.is_none() || self.session.limit.is_up() {
            return Ok(accepted);
        }
        (dynamic.fitted, dynamic.distillation, dynamic.declined) = (None, None, None);
        (dynamic.eval_drop, dynamic.task, dynamic.held_out_drop) = (None, None, None);
        self.attempts(candidates, judge, None, dynamic)
    }

    fn attempts(
        &self,
        candidates: &[Vec<GateCandidate>],
        judge: Option<&Judge>,
        lessons: Option<Lessons>,
        dynamic: &mut Dynamic,
    ) -> Result<Accepted> {
        let allowed = self.dynamics.most_drop;
        let mut bounds = Bounds {
            drop: match lessons {
                Some(_) => (MADE_UP * allowed).min(MOST_UNFITTED),
                None => allowed,
            },
            loss: f64::INFINITY,
        };
        let mut weights: Option<ModelProto> = None;
        let none = || -> Accepted {
            let none: Choice = vec![None; candidates.len()];
            Accepted {
                wished: none.clone(),
                chosen: none,
                weights: None,
            }
        };
        if self.session.limit.is_up() {
            return Ok(none());
        }
        let before = self.evaluated()?;
        for _ in 0..ATTEMPTS {
            if self.session.limit.is_up() {
                dynamic.declined = Some(NoGates::NotJudged);
                break;
            }
            let wished = self.choose(candidates, judge, bounds, dynamic)?;
            let wished = wished.unwrap_or_else(|| vec![None; candidates.len()]);
            let chosen = match self.dynamics.placement {
                Placement::Everywhere => wished.clone(),
                Placement::WherePaying => self.cut_back(candidates, wished.clone())?,
            };
            let gates: Vec<&Gate> = picked(candidates, &chosen).map(|o| &o.gate).collect();
            if gates.is_empty() {
                return Ok(Accepted {
                    wished,
                    chosen,
                    weights: None,
                });
            }
            let made_up = self.made_up(picked(candidates, &chosen))?;
            weights = match lessons {
                Some(lessons) => self.taught(&gates, weights.into_iter().chain(made_up), lessons, dynamic)?,
                None => made_up,
            };
            let lost = match &before {
                Some(before) => {
                    let model = weights.as_ref().unwrap_or(self.model);
                    let graph = Graph::of(model)?;
                    let seen = self.on(model, &graph).seen_drop(before, &gates)?;
                    dynamic.eval_drop = Some(seen.drop);
                    dynamic.task = seen.task;
                    seen.drop
                }
                None if lessons.is_some() => dynamic.held_out_drop.unwrap_or(0.0),
                None => 0.0,
            };
            let share = self.dynamics.keep.is_some();
            if share || lost <= allowed {
                dynamic.declined = None;
                return Ok(Accepted {
                    wished,
                    chosen,
                    weights,
                });
            }
            dynamic.declined = Some(match before {
                None => NoGates::AllLoseTooMuch,
                Some(_) => NoGates::DropTooGreat {
                    drop: lost,
                    interval: dynamic.task.as_ref().map(|t| t.drop_interval),
                    allowed,
                    held_out: dynamic.held_out_drop.unwrap_or(0.0),
                },
            });
            // What calibration samples allow may be all that there is: what gates lose one by one goes down in any case.
            let less = (allowed / lost.max(1e-12)).clamp(LEAST_STEP, MOST_STEP);
            bounds.loss = less * picked(candidates, &wished).filter_map(|o| o.loss).sum::<f64>();
        }
        Ok(none())
    }

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

    /// The gates by the user's share, or by what they save within a drop of `most`.
    fn choose(
        &self,
        candidates: &[Vec<GateCandidate>],
        judge: Option<&Judge>,
        bounds: Bounds,
        dynamic: &mut Dynamic,
    ) -> Result<Option<Choice>> {
        let placement = self.dynamics.placement;
        if self.dynamics.keep.is_some() {
            let choice = fastest(candidates, placement);
            if let Some(judge) = judge {
                let gates: Vec<&GateCandidate> = picked(candidates, &choice).collect();
                dynamic.held_out_drop = Some(judge.accuracy_drop(&gates)?);
            }
            return Ok(Some(choice));
        }
        let Some(judge) = judge else { return Ok(None) };
        self.session.reporter.step(Step::ChooseGates);
        let found = within(candidates, judge, bounds)?;
        dynamic.held_out_drop = found.as_ref().map(|f| f.drop);
        let few = judge.samples() < (2.0 / self.dynamics.most_drop.max(1e-9)) as usize;
        if found.is_some() && few && self.session.eval.is_none() && dynamic.notes.is_empty() {
            dynamic.notes.push(format!(
                "the drop was judged on {} samples; more calibration samples tell small drops better",
                judge.samples()
            ));
        }
        Ok(found.map(|f| f.choice))
    }

    /// The choice without gates that do not make the whole model faster.
    fn cut_back(&self, candidates: &[Vec<GateCandidate>], choice: Choice) -> Result<Choice> {
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
