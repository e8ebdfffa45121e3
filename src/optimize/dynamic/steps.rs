//! Gradient steps on what stands already: they may let a bolder choice stand, or better weights, and take nothing away.

use super::super::outcome::shown_drop;
use super::accept::Grounds;
use super::attempt::Attempt;
use super::search::GateSearch;
use super::train::{Lessons, Trained};
use crate::Result;
use crate::onnx::Graph;

/// With which weights a choice stands.
#[derive(Debug, PartialEq)]
enum Settled {
    Stepped,
    Before,
    Neither,
}

/// With which weights a choice stands that did or did not `before` steps; `stepped`: whether it does with what they gave, if they gave something.
fn settled(before: bool, stepped: Option<bool>) -> Settled {
    match (before, stepped) {
        (_, Some(true)) => Settled::Stepped,
        (true, _) => Settled::Before,
        (false, _) => Settled::Neither,
    }
}

impl GateSearch<'_> {
    /// The boldest of the choices that were tried which stands with the weights that gradient steps make of its own, and its place among them. A
    /// choice that stands without keeps its weights where steps lose too much, find nothing, or come too late to be judged.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn with_steps(
        &self,
        tried: &[Attempt],
        (on, lessons): (Grounds, Lessons),
        notes: &mut Vec<String>,
    ) -> Result<Option<(usize, Attempt)>> {
        for (at, attempt) in tried.iter().enumerate() {
            if attempt.is_empty() || self.session.limit.is_up() {
                break;
            }
            let gates = on.gates(attempt);
            let start = attempt.gates.weights.as_ref().unwrap_or(self.model);
            let (weights, told) = match self.on(start, &Graph::of(start)?).trained(&gates, lessons)? {
                Trained::Steps(weights, told) => (weights, told),
                Trained::Not(why) => {
                    notes.push(format!("no gradient steps were made: {why}"));
                    break;
                }
            };
            let mut stepped = attempt.clone();
            stepped.distillation = Some(told);
            let given = weights.is_some();
            if let Some(weights) = weights {
                if self.session.limit.is_up() {
                    let why = "the time was up before the weights that gradient steps gave were judged: those from before stay";
                    notes.push(why.to_owned());
                    break;
                }
                stepped.held_out_drop = Some(self.held_out_drop(Some(&weights), &gates, lessons)?);
                stepped.gates.weights = Some(*weights);
                self.weigh(on, &mut stepped, true)?;
            }
            match settled(attempt.stands(), given.then(|| stepped.stands())) {
                Settled::Stepped => return Ok(Some((at, stepped))),
                Settled::Before => {
                    let lost = stepped.drop().map(|drop| drop.value).or(stepped.held_out_drop);
                    return Ok(Some((at, self.kept(attempt, stepped, lost, notes))));
                }
                Settled::Neither => {}
            }
        }
        Ok(None)
    }

    /// A choice that stands with the weights from before, with what steps gave.
    fn kept(&self, attempt: &Attempt, stepped: Attempt, lost: Option<f64>, notes: &mut Vec<String>) -> Attempt {
        let refused = stepped.refused.is_some();
        if let Some(lost) = lost.filter(|_| refused) {
            let own_metric = self.session.options.metric.is_some() && stepped.seen.is_some();
            notes.push(format!(
                "the weights that gradient steps gave lose {} where the gates are judged, more than the {} that are allowed: those from before stay",
                shown_drop(lost, own_metric),
                shown_drop(self.dynamics.most_drop, own_metric)
            ));
        }
        let told = stepped.distillation.map(|mut told| {
            told.taken &= !refused;
            told
        });
        Attempt {
            distillation: told,
            ..attempt.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Settled, settled};

    #[test]
    fn steps_take_nothing_away() {
        assert_eq!(settled(true, Some(true)), Settled::Stepped);
        assert_eq!(settled(false, Some(true)), Settled::Stepped);
        assert_eq!(
            [settled(true, Some(false)), settled(true, None)],
            [Settled::Before, Settled::Before]
        );
        assert_eq!(
            [settled(false, Some(false)), settled(false, None)],
            [Settled::Neither, Settled::Neither]
        );
    }
}
