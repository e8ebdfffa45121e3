//! The finished narrower model: verified, raced, judged, and the reasons for which it is not written.

use super::Outcome;
use super::fitting::{BROKEN, Fitted, gives_no_numbers};
use super::lossy::{Narrowing, Search};
use crate::Result;
use crate::onnx::{Graph, encode};
use crate::plan::{Costs, Plan};
use crate::score::{Reference, StagedExecutor};
use crate::verify::{Entry, Verdict, benchmark_workloads, compare_task};

impl Narrowing<'_, '_> {
    /// The loss of the finished model, and on what it was measured: held-out samples, or without any random inputs. `None` where
    /// neither tells anything.
    pub(super) fn measured_loss(&self, fitted: &Fitted) -> Option<(f64, &'static str)> {
        if let Some(judged) = fitted.judged {
            let on = match fitted.held_out {
                true => "held-out samples",
                false => "the very samples that it was fitted on",
            };
            return Some((judged.loss(), on));
        }
        let (inputs, _) = self.inputs.first().filter(|_| self.samples.is_none())?;
        let random = || -> Result<f64> {
            let executor = StagedExecutor::of(self.device, inputs)?;
            let reference = Reference::of(&executor, &self.opened.proto, self.graph)?;
            let graph = Graph::of(&fitted.proto)?;
            Ok(reference.judge(&executor, &fitted.proto, &graph, 0)?.loss())
        };
        // A model that is NaN on random inputs, or cannot be run in parts, is judged by nothing here.
        random().ok().map(|loss| (loss, "random inputs"))
    }

    pub(super) fn finish(
        &self,
        mut outcome: Outcome,
        search: &Search,
        plan: &Plan,
        fitted: &Fitted,
        costs: &Costs,
    ) -> Result<Outcome> {
        let model = encode(&fitted.proto);
        self.reporter.step("verifying");
        let agreement = super::agreement(self.device, &self.original, &model, self.workloads, self.options.seed)?;
        let entries = benchmark_workloads(
            self.device,
            &[&self.original, &model],
            &self.inputs,
            super::racing(self.limit, super::FINAL_SECONDS),
            &|done, total| self.reporter.progress(done, total),
        )?;
        outcome.measured(&entries, agreement);
        outcome.predict(self.opened, self.graph, plan, &self.removable, costs);
        if let Some(chosen) = outcome.chosen.as_mut() {
            chosen.measured = Some(entries[1].ratio());
        }
        if let Some(data) = &self.eval {
            self.reporter.step("running real inputs");
            outcome.task = compare_task(self.device, &self.original, &model, data, &|done, total| {
                self.reporter.progress(done, total)
            })?;
        }
        if let Some(why) = self.refused(&outcome, fitted, &entries[1]) {
            outcome.nothing(&why);
            return Ok(outcome);
        }
        outcome.fill(self.opened, self.graph, plan, &fitted.proto, &self.removable, costs);
        let blind: Vec<String> = plan
            .counts
            .keys()
            .filter(|g| search.blind.contains(g))
            .map(usize::to_string)
            .collect();
        if !blind.is_empty() {
            outcome.unverified.push(format!(
                "loss: that of group {} is guessed blindly, as the values behind are made by operators without a rule; judge \
                 it with --calib",
                blind.join(", ")
            ));
        }
        outcome.narrowed(plan, &self.opened.analysis, &self.removable, &|g, n| search.loss(g, n));
        outcome.model = Some(model);
        if !is_faster(&entries[1]) {
            outcome.notes.push(format!(
                "it was not measured to be faster ({:.3} ± {:.3}); it is written because of --allow-slower",
                entries[1].ratio(),
                entries[1].ratio_noise()
            ));
        }
        Ok(outcome)
    }

    /// Why the finished model is not written, if it is not.
    fn refused(&self, outcome: &Outcome, fitted: &Fitted, entry: &Entry) -> Option<String> {
        let goals = self.options.goals;
        let (ratio, noise, ms) = (entry.ratio(), entry.ratio_noise(), entry.summary().median);
        let compared = outcome.agreement.as_ref();
        if fitted.is_broken() || compared.is_some_and(|a| gives_no_numbers(a, outcome.task.as_ref())) {
            return Some(BROKEN.to_owned());
        }
        let missed = goals
            .latency
            .filter(|a| ratio > super::target_search::share(*a, ms, ratio) * super::target_search::NEAR);
        if let Some(amount) = missed {
            return Some(format!(
                "measured again, the plan takes {ratio:.3}x ({ms:.3} ms), not {amount}; run again, or ask for {:.2}x",
                ratio * 1.01
            ));
        }
        if let (Some(most), Some(task)) = (goals.max_drop, &outcome.task)
            && task.accuracy_drop() > most
        {
            let drop = 100.0 * task.accuracy_drop();
            return Some(format!(
                "the plan loses {drop:.2} points, more than --max-drop {:.2} %; allow more, or ask for less speed",
                100.0 * most
            ));
        }
        let sized = goals.macs.is_some() || goals.params.is_some();
        if is_faster(entry) || (self.options.allow_slower && sized) {
            return None;
        }
        let more = match sized {
            true => {
                "; narrower layers do not make it faster here. Ask for less MACs or parameters, or write it all the same with \
                     --allow-slower"
            }
            false => "; ask for less latency",
        };
        Some(format!(
            "the plan that reaches the goal was not measured to be faster than the original by 1 % beyond the noise \
             ({ratio:.3} ± {noise:.3}){more}"
        ))
    }
}

/// Whether a model is worth a file for its speed.
fn is_faster(entry: &Entry) -> bool {
    entry.verdict() == Verdict::Faster && entry.ratio() <= super::WORTH_A_FILE
}

/// A measured loss so many times the predicted one, and by so much above it, is told.
const FAR: f64 = 3.0;
const MUCH: f64 = 0.01;

/// Says when the finished model loses far more than its parts were measured, or guessed, to lose one by one; `measured` is its loss and
/// on what that was measured.
pub(super) fn far_off(predicted: f64, measured: Option<(f64, &str)>) -> Option<String> {
    let (measured, on) = measured?;
    let far = measured > FAR * predicted && measured > predicted + MUCH;
    let shown = |loss: f64| {
        if loss < 1e4 {
            format!("{loss:.3}")
        } else {
            format!("{loss:.1e}")
        }
    };
    let (measured, predicted) = (shown(measured), shown(predicted));
    far.then(|| {
        format!(
            "the finished model loses {measured} on {on}, far more than the {predicted} predicted: such cuts add up to more than \
             the sum of their parts here. Check it on your own data before you use it, or ask for less"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::far_off;
    use crate::score::Judgement;

    #[test]
    fn a_loss_far_above_the_predicted_one_is_told() {
        let told = |predicted: f64, measured: f64| {
            let loss = Judgement::of(measured, 10).loss();
            far_off(predicted, Some((loss, "held-out samples"))).is_some()
        };
        assert!(told(0.045, 0.989) && told(0.0, 0.02));
        assert!(!told(0.045, 0.06) && !told(1e-6, 1e-4) && !told(0.5, 1.0));
        // A loss that is no number is infinite.
        assert!(told(0.045, f64::NAN));
        assert!(far_off(0.0, None).is_none());
    }
}
