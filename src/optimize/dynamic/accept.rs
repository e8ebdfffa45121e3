//! Gates that stand: choices that are made, each more careful, until one loses little enough on the samples that decide.

use super::super::drop_told::{cannot_tell, searched_on_all};
use super::super::options::Placement;
use super::super::outcome::{Dynamic, NoGates, shown_drop};
use super::attempt::{Accepted, Attempt};
use super::candidate::GateCandidate;
use super::choose::{Bounds, picked};
use super::evaluate::{Evaluation, Halves};
use super::judge::Judge;
use super::search::GateSearch;
use super::train::Lessons;
use crate::Result;
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

/// What choices are made of and judged by.
#[derive(Clone, Copy)]
pub(super) struct Grounds<'a> {
    pub candidates: &'a [Vec<GateCandidate>],
    pub judge: Option<&'a Judge<'a>>,
    /// The static model on the evaluation samples.
    pub before: Option<&'a Evaluation<'a>>,
}

impl<'a> Grounds<'a> {
    /// The gates of a choice that was tried.
    pub fn gates(&self, attempt: &Attempt) -> Vec<&'a Gate> {
        let lists = self.candidates.iter().zip(&attempt.gates.chosen);
        lists.filter_map(|(list, at)| Some(&list.get((*at)?)?.gate)).collect()
    }
}

impl GateSearch<'_> {
    /// Chooses gates by what they lose on held-out calibration samples. Where evaluation samples are given, these decide: as
    /// long as the choice loses too much there, a more careful one is made. Gates that lose too much with weights of their own give way to
    /// those that lose little with the model's. What is found so stands, unless gradient steps, which come last, let a bolder choice
    /// stand or better weights.
    pub(super) fn accepted(
        &self,
        candidates: &[Vec<GateCandidate>],
        judge: Option<&Judge>,
        lessons: Option<Lessons>,
        dynamic: &mut Dynamic,
    ) -> Result<Accepted> {
        if self.session.limit.is_up() {
            return Ok(Accepted::none(candidates.len()));
        }
        let halves = Halves::of(self);
        let before = halves.as_ref().map(|halves| self.evaluation(halves)).transpose()?;
        let on = Grounds {
            candidates,
            judge,
            before: before.as_ref(),
        };
        let tried = self.attempts(on, lessons, dynamic)?;
        let fitted = tried.len();
        let mut all = tried;
        if !all.iter().any(Attempt::stands) && lessons.is_some() && !self.session.limit.is_up() {
            all.extend(self.attempts(on, None, dynamic)?);
        }
        let steps = lessons.filter(|_| self.session.options.distill > 0);
        let stepped = match steps.zip(all.get(..fitted)) {
            Some((lessons, tried)) => self.with_steps(tried, (on, lessons), &mut dynamic.notes)?,
            None => None,
        };
        let standing = all.iter().position(Attempt::stands);
        let found = stepped.or_else(|| standing.and_then(|at| Some((at, all.get(at)?.clone()))));
        if let Some((at, attempt)) = found {
            let too_bold = all.iter().take(at).filter_map(|tried| self.too_bold(tried));
            dynamic.notes.extend(too_bold);
            if halves.as_ref().is_some_and(|halves| halves.too_few(self)) {
                dynamic.notes.push(searched_on_all("gates were"));
            }
            let drop = attempt.drop().filter(|_| self.dynamics.keep.is_none());
            let unsure = drop.and_then(|d| cannot_tell(d.interval?, d.samples, self.dynamics.most_drop));
            dynamic.notes.extend(unsure);
            return Ok(attempt.tell(dynamic));
        }
        let wished = all.last().filter(|last| last.is_empty()).map(|last| last.gates.clone());
        // What loses least tells most.
        let lost = |attempt: &Attempt| attempt.drop().map_or(f64::INFINITY, |drop| drop.value);
        let refused = all.into_iter().filter(|attempt| attempt.refused.is_some());
        if let Some(least) = refused.min_by(|a, b| lost(a).total_cmp(&lost(b))) {
            least.tell(dynamic);
        }
        if self.session.limit.is_up() {
            dynamic.declined = Some(NoGates::NotJudged);
        }
        Ok(wished.unwrap_or_else(|| Accepted::none(candidates.len())))
    }

    /// Choices, each more careful than the one before; the last one stands, has no gates, or is the last that is tried.
    fn attempts(&self, on: Grounds, lessons: Option<Lessons>, dynamic: &mut Dynamic) -> Result<Vec<Attempt>> {
        let allowed = self.dynamics.most_drop;
        let mut bounds = Bounds {
            drop: match lessons {
                Some(_) => (MADE_UP * allowed).min(MOST_UNFITTED),
                None => allowed,
            },
            loss: f64::INFINITY,
        };
        let mut weights: Option<ModelProto> = None;
        let mut all: Vec<Attempt> = Vec::new();
        while all.len() < ATTEMPTS && !self.session.limit.is_up() {
            let (wished, held_out) = self.choose(on.candidates, on.judge, bounds, dynamic)?;
            let chosen = match self.dynamics.placement {
                Placement::Everywhere => wished.clone(),
                Placement::WherePaying => self.cut_back(on.candidates, wished.clone())?,
            };
            let mut attempt = Attempt::of(wished, chosen, held_out);
            if attempt.is_empty() {
                all.push(attempt);
                break;
            }
            let made_up = self.made_up(picked(on.candidates, &attempt.gates.chosen))?;
            weights = match lessons {
                Some(lessons) => {
                    let before = weights.into_iter().chain(made_up);
                    let taught = self.taught(&on.gates(&attempt), before, lessons)?;
                    (attempt.fitted, attempt.held_out_drop) = (Some(taught.losses), Some(taught.held_out_drop));
                    taught.weights
                }
                None => made_up,
            };
            attempt.gates.weights.clone_from(&weights);
            let lost = self.weigh(on, &mut attempt, lessons.is_some())?;
            let stands = attempt.stands();
            // The others say yes or no, and not how far to go: what is chosen next follows from the samples that gates are searched on.
            let lost = attempt.drop().and_then(|drop| drop.searched_on).unwrap_or(lost);
            // What calibration samples allow may be all that there is: what gates lose one by one goes down in any case.
            let less = (allowed / lost.max(1e-12)).clamp(LEAST_STEP, MOST_STEP);
            let alone = picked(on.candidates, &attempt.gates.wished).filter_map(|o| o.loss);
            bounds.loss = less * alone.sum::<f64>();
            all.push(attempt);
            if stands {
                break;
            }
        }
        Ok(all)
    }

    /// Runs a choice on the samples that decide, and refuses it where it loses too much there; gives what it loses. Without evaluation
    /// samples, calibration samples decide where weights are `fitted`, which change what they said of the choice.
    pub(super) fn weigh(&self, on: Grounds, attempt: &mut Attempt, fitted: bool) -> Result<f64> {
        let allowed = self.dynamics.most_drop;
        if let Some(before) = on.before {
            let model = attempt.gates.weights.as_ref().unwrap_or(self.model);
            let graph = Graph::of(model)?;
            let seen = self.on(model, &graph).evaluate(before, &on.gates(attempt), allowed)?;
            attempt.seen = Some(seen);
        }
        let held_out = attempt.held_out_drop.unwrap_or(0.0);
        let lost = match attempt.drop() {
            Some(drop) => drop.value,
            None if fitted => held_out,
            None => 0.0,
        };
        let holds = self.dynamics.keep.is_some() || lost <= allowed;
        attempt.refused = (!holds).then(|| match attempt.drop() {
            None => NoGates::AllLoseTooMuch,
            Some(drop) => NoGates::DropTooGreat {
                drop,
                allowed,
                held_out,
                own_metric: self.session.options.metric.is_some(),
            },
        });
        Ok(lost)
    }

    /// What the user should know of a choice that only the samples which it was searched on allow.
    fn too_bold(&self, tried: &Attempt) -> Option<String> {
        let drop = tried.drop().filter(|_| !tried.stands())?;
        let shown = |v: f64| shown_drop(v, self.session.options.metric.is_some());
        Some(format!(
            "a bolder choice of gates lost {} on the samples that it was searched on and {} on the others, more than the {} that are \
             allowed; a more careful one was taken",
            shown(drop.searched_on?),
            shown(drop.value),
            shown(self.dynamics.most_drop)
        ))
    }
}
