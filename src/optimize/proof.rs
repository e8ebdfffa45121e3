//! What every model goes through before it is written: outputs are compared, it is benchmarked, run on real inputs, and accepted or
//! refused.

use super::outcome::{Declined, Outcome};
use super::reporter::Step;
use super::session::Session;
use super::workload::Workload;
use crate::data::Dataset;
use crate::device::{NamedTensor, TimedSession};
use crate::onnx::encode;
use crate::onnx::proto::ModelProto;
use crate::plan::Plan;
use crate::profile::{DeployDtype, recalled, remember, whole_key};
use crate::verify::{Agreement, Entry, MetricScores, Shown, Task, Verdict, compare, compare_loaded, compare_task};
use crate::{Error, Result};

/// A model less than 1 % faster is not worth a file: the next run may show it slower.
const WORTH_A_FILE: f64 = 0.99;
/// Seconds for the last benchmark.
pub(super) const FINAL_SECONDS: f64 = 6.0;
/// Random inputs that outputs are compared on.
const TRIES: usize = 3;

/// A model, and what it is held against.
pub(super) struct Trial<'m> {
    /// The step that is reported.
    pub step: Step,
    /// The model that makes the right outputs.
    pub reference: &'m [u8],
    /// The model.
    pub model: &'m [u8],
    /// Shapes at which outputs are compared on random inputs; `None`: they are not compared.
    pub compared_at: Option<&'m [Workload]>,
    /// Models that are benchmarked side by side; ratios are to the first one. None: latency is not measured.
    pub entries: Vec<&'m [u8]>,
    /// What they are run on, with weights.
    pub inputs: &'m [(Vec<NamedTensor>, f64)],
    /// Seconds for the benchmark, where there is time.
    pub seconds: f64,
    /// Real inputs that the reference and the model are compared on.
    pub samples: Option<&'m Dataset>,
}

/// What was found out about a model.
pub(super) struct Evidence {
    /// How its outputs agree with the reference's.
    pub agreement: Agreement,
    /// The benchmark's entries, in the trial's order.
    pub entries: Vec<Entry>,
    /// How it does on real inputs.
    pub task: Option<Task>,
    /// Some of these.
    pub shown: Vec<Shown>,
    /// The same by the user's own metric.
    pub metric: Option<MetricScores>,
    /// Whether times and agreement are those of an earlier job.
    pub remembered: bool,
}

/// What a strategy demands of its model; a refusal ends the proof.
pub(super) trait Acceptance {
    /// Why a model is refused.
    type Refusal;

    /// Looks at outputs and latency, before the model is run on real inputs.
    fn before_task(&self, _evidence: &Evidence) -> Option<Self::Refusal> {
        None
    }

    /// What the user should know of a model that is accepted.
    fn note(&self, _evidence: &Evidence) -> Option<String> {
        None
    }

    /// Looks at everything.
    fn after_task(&self, _evidence: &Evidence) -> Option<Self::Refusal> {
        None
    }
}

/// Accepts every model: only what was measured is of interest.
pub(super) struct Measuring;

impl Acceptance for Measuring {
    type Refusal = Declined;
}

impl Session<'_> {
    /// A trial of `model` against the original.
    pub fn trial<'m>(&'m self, model: &'m [u8]) -> Trial<'m> {
        Trial {
            step: Step::Verify,
            reference: &self.original,
            model,
            compared_at: Some(self.workloads),
            entries: if self.device.timer().is_some() {
                vec![self.timed_original(), model]
            } else {
                Vec::new()
            },
            inputs: &self.inputs,
            seconds: FINAL_SECONDS,
            samples: self.eval,
        }
    }

    /// Verifies, benchmarks, runs on real inputs, decides.
    ///
    /// # Errors
    /// When a run fails.
    pub fn prove<A: Acceptance>(&self, trial: &Trial, acceptance: &A) -> Result<(Evidence, Option<A::Refusal>)> {
        self.reporter.step(trial.step);
        let mut evidence = Evidence {
            agreement: Agreement::none(0),
            entries: Vec::new(),
            task: None,
            shown: Vec::new(),
            metric: None,
            remembered: false,
        };
        match self.remembered(trial)? {
            Some((entries, agreement)) => {
                (evidence.entries, evidence.agreement, evidence.remembered) = (entries, agreement, true);
                self.loaded.borrow_mut().leave(&[]);
            }
            None => {
                if !trial.entries.is_empty() {
                    evidence.entries = self.benchmark(&trial.entries, trial.inputs, self.seconds(trial.seconds))?;
                }
                let loaded = match trial.entries.as_slice() {
                    [] => None,
                    entries => self.loaded.borrow_mut().leave(entries),
                };
                evidence.agreement = self.agreement(trial, loaded.unwrap_or_default())?;
                if trial.compared_at.is_some() && !trial.entries.is_empty() && self.loaded_for(trial.inputs)?.is_some()
                {
                    remember(&self.prober, &self.agreement_key(trial), &evidence.agreement)?;
                }
            }
        }
        if let Some(why) = acceptance.before_task(&evidence) {
            return Ok((evidence, Some(why)));
        }
        if let Some(data) = trial.samples {
            self.reporter.step(Step::RunRealInputs);
            let compared = compare_task(
                self.device,
                [trial.reference, trial.model],
                data,
                self.judged.reading.as_ref(),
                &self.progress(),
            )?;
            if let Some(compared) = compared {
                (evidence.task, evidence.shown) = (Some(compared.task), compared.shown);
            }
            // A point of a curve, which is compared at no workload, is not judged by it.
            let metric = self.metric.as_ref().filter(|_| trial.compared_at.is_some());
            let scores = metric.map(|judge| judge.compared(trial.model, &self.progress()));
            evidence.metric = scores.transpose()?;
        }
        let refusal = acceptance.after_task(&evidence);
        Ok((evidence, refusal))
    }

    /// What an earlier job found of the same trial, where the device takes long to load its models and it leaves no doubt.
    fn remembered(&self, trial: &Trial) -> Result<Option<(Vec<Entry>, Agreement)>> {
        if trial.entries.is_empty() || trial.compared_at.is_none() {
            return Ok(None);
        }
        let entries = self.remembered_benchmark(&trial.entries, trial.inputs, self.seconds(trial.seconds))?;
        let agreement = recalled(&self.prober, &self.agreement_key(trial))?;
        Ok(entries.zip(agreement))
    }

    fn agreement_key(&self, trial: &Trial) -> String {
        let what = format!("agreement {TRIES} {} {}", self.options.seed, env!("CARGO_PKG_VERSION"));
        whole_key(&what, &[trial.reference, trial.model], trial.inputs, 0.0)
    }

    /// The least agreement of all workloads; sessions of the reference and the model that are loaded for timing run both where they can.
    fn agreement(&self, trial: &Trial, mut loaded: Vec<Box<dyn TimedSession>>) -> Result<Agreement> {
        let Trial { reference, model, .. } = *trial;
        let (device, seed) = (self.device, self.options.seed);
        let workloads = trial.compared_at.unwrap_or_default();
        if let ([workload], true) = (workloads, trial.entries == [reference, model]) {
            let specs = &workload.opened.specs;
            match compare_loaded(device, reference, &mut loaded, specs, seed, TRIES) {
                Ok(Some(found)) => return Ok(found),
                Err(Error::Stopped) => return Err(Error::Stopped),
                // A session may be in another process, which may be gone: both are loaded anew.
                Ok(None) | Err(_) => {}
            }
        }
        drop(loaded);
        let mut least: Option<Agreement> = None;
        for workload in workloads {
            let found = compare(device, reference, model, &workload.opened.specs, seed, TRIES)?;
            if least
                .as_ref()
                .is_none_or(|l| !found.holds() || (l.holds() && found.max_rel_diff > l.max_rel_diff))
            {
                least = Some(found);
            }
        }
        Ok(least.unwrap_or_else(|| Agreement::none(0)))
    }

    /// Proves the model of a plan, and writes it into the outcome, or why it was refused.
    ///
    /// # Errors
    /// When a run fails.
    pub fn conclude<A>(&self, outcome: &mut Outcome, plan: &Plan, proto: &ModelProto, acceptance: &A) -> Result<()>
    where
        A: Acceptance<Refusal = Declined>,
    {
        let model = encode(proto);
        let deployed = self.deployment.as_ref().map(|_| self.timed(proto)).transpose()?;
        let mut trial = self.trial(&model);
        if let (Some(entry), Some(deployed)) = (trial.entries.last_mut(), &deployed) {
            *entry = deployed;
        }
        let (evidence, refusal) = self.prove(&trial, acceptance)?;
        if let Some(deployment) = &self.deployment {
            outcome.notes.push(deployed_note(deployment.dtype));
        }
        if evidence.remembered {
            outcome.notes.push(REMEMBERED.to_owned());
        }
        let note = acceptance.note(&evidence).filter(|_| refusal.is_none());
        outcome.notes.extend(note);
        outcome.measured(evidence);
        outcome.predict(self, plan);
        outcome.declined = refusal;
        if outcome.declined.is_none() {
            outcome.fill(self, plan, proto)?;
            outcome.model = Some(model);
        }
        Ok(())
    }
}

/// Where nothing was measured again.
const REMEMBERED: &str =
    "an earlier job here made the same model: its latencies, and how its outputs agree, are what was measured then";

/// What latencies stand for.
fn deployed_note(dtype: DeployDtype) -> String {
    format!(
        "widths are chosen, and latencies measured, in {}, made for timing only; the model that is written is float32: {} it, and compare \
         its outputs then",
        dtype.name(),
        match dtype {
            DeployDtype::Int8 => "quantize",
            DeployDtype::Float16 | DeployDtype::Bfloat16 => "cast",
        }
    )
}

/// Whether a model is worth a file for its speed.
pub(super) fn is_faster(entry: &Entry) -> bool {
    entry.verdict() == Verdict::Faster && entry.ratio() <= WORTH_A_FILE
}
