//! The finished dynamic variant: proven against its reference form, the static model and the original.

use super::super::options::{Mode, Placement};
use super::super::outcome::{Dynamic, NoGates};
use super::super::proof::{Acceptance, Evidence, FINAL_SECONDS, Trial, is_faster};
use super::super::reporter::Step;
use super::search::GateSearch;
use crate::Result;
use crate::device::{CpuFallback, DeviceKind, NamedTensor};
use crate::gate::{Gate, GateForm};

/// Batches of real samples that the last benchmark runs on, for each workload.
const REAL_RUNS: usize = 4;
/// Places of the models in the last benchmark.
const STATIC: usize = 0;
const DYNAMIC: usize = 1;
const ORIGINAL: usize = 2;

/// Equal outputs in all forms, and a gain beyond the noise where time is what gates are for.
struct GatesPay {
    /// Whether time counts.
    timed: bool,
}

impl Acceptance for GatesPay {
    type Refusal = NoGates;

    fn before_task(&self, evidence: &Evidence) -> Option<NoGates> {
        if !evidence.agreement.holds() {
            return Some(NoGates::OutputsDiffer);
        }
        let entry = evidence.entries.get(DYNAMIC)?;
        let ratio = entry.ratio();
        (self.timed && !is_faster(entry)).then_some(NoGates::NotFaster { ratio })
    }
}

impl GateSearch<'_> {
    /// Proves the model with these gates, and keeps it if it is faster.
    pub(super) fn finish(&self, mut dynamic: Dynamic, gates: &[&Gate]) -> Result<Dynamic> {
        let session = self.session;
        let (compact, masked) = (
            self.model_of(gates, self.dynamics.form())?,
            self.model_of(gates, GateForm::Masked)?,
        );
        let mask = self.dynamics.mode == Mode::Mask;
        let model = if mask { &masked } else { &compact };
        let trial = Trial {
            step: Step::VerifyDynamic,
            reference: &masked,
            model: &compact,
            compared_at: Some(&session.workloads[..1]),
            entries: vec![self.base, model, &session.original],
            inputs: &self.real_inputs()?,
            seconds: FINAL_SECONDS,
            // They were run on real inputs when they were accepted.
            samples: None,
        };
        let timed = !mask && self.dynamics.placement == Placement::WherePaying;
        let (evidence, refusal) = session.prove(&trial, &GatesPay { timed })?;
        let entries = &evidence.entries;
        dynamic.latency = Some([ORIGINAL, STATIC, DYNAMIC].map(|at| entries[at].summary()));
        dynamic.ratio = Some((entries[DYNAMIC].ratio(), entries[DYNAMIC].ratio_noise()));
        dynamic.ratio_original = Some(entries[DYNAMIC].ratio() / entries[ORIGINAL].ratio());
        dynamic.reference = Some(evidence.agreement);
        // Halos can make a gate that keeps most do more than the dense block.
        let (blocks, kept) = gates
            .iter()
            .fold((0, 0), |(a, b), g| (a + g.block.macs(), b + g.macs()));
        dynamic.macs = Some(if mask {
            self.macs
        } else {
            (self.macs + kept).saturating_sub(blocks)
        });
        dynamic.notes.extend(self.notes(gates, model));
        dynamic.declined = refusal;
        if dynamic.declined.is_none() {
            dynamic.model = Some(if mask { masked } else { compact });
        }
        Ok(dynamic)
    }

    /// What the user should know before the file is used.
    fn notes(&self, gates: &[&Gate], model: &[u8]) -> Vec<String> {
        let mut notes = Vec::new();
        if gates.iter().any(|g| g.takes_one_sample()) && self.dynamics.mode != Mode::Mask {
            notes.push("gated channels are for one sample at a time: the dynamic file's batch is 1".to_owned());
        }
        let fixed = |g: &&&Gate| g.tiles.is_none() && !g.takes_one_sample();
        match gates.iter().filter(fixed).count() {
            0 => {}
            all if all == gates.len() => notes.push(
                "all gates take the same channels for every input: the dynamic file is a narrower model, and serves any batch"
                    .to_owned(),
            ),
            some => notes.push(format!(
                "{some} of {} gates take the same channels for every input, as narrower layers do",
                gates.len()
            )),
        }
        let device = self.session.device;
        let whole = |model: &[u8]| {
            let inputs = self.session.inputs.first().map(|(inputs, _)| inputs);
            let timer = device.timer().zip(inputs);
            timer.is_some_and(|(timer, inputs)| timer.load(model, inputs, CpuFallback::Forbidden).is_ok())
        };
        if self.dynamics.mode == Mode::Fused {
            let note = "the dynamic file needs snapprune's operator library: register libsnapprune.so with the session's options";
            notes.push(note.to_owned());
        } else if device.info().kind == DeviceKind::Cuda && whole(self.base) && !whole(model) {
            notes.push("some of its nodes run on the CPU, beside the GPU".to_owned());
        }
        notes
    }

    /// Several batches of real samples for every workload that they fit, which share its weight; random ones elsewhere.
    fn real_inputs(&self) -> Result<Vec<(Vec<NamedTensor>, f64)>> {
        let session = self.session;
        let options = session.options;
        let Some(source) = options.eval.as_ref().or(options.calib.as_ref()) else {
            return Ok(session.inputs.clone());
        };
        let mut all = Vec::new();
        for (workload, random) in session.workloads.iter().zip(&session.inputs) {
            let specs = &workload.opened.specs;
            let batch = specs.first().and_then(|s| s.dims.first()).copied().unwrap_or(1);
            let data = source.read(specs).ok();
            let data = data.filter(|d| d.count() >= batch).map(|d| d.in_runs_of(batch));
            let Some(data) = data else {
                all.push(random.clone());
                continue;
            };
            // Only whole runs: a short one takes less time.
            let whole = data.count() / batch.max(1);
            let runs = whole.min(REAL_RUNS);
            let picked = (0..runs).map(|k| k * whole / runs);
            all.extend(picked.map(|k| (data.run(k).inputs, workload.weight / runs as f64)));
        }
        Ok(all)
    }
}
