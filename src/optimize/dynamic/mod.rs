//! The dynamic variant of a model: which blocks get which gates, by measured time and measured loss.

mod candidates;
mod choose;
mod evaluate;
mod judge;
mod options;
mod outcome;
mod rows;
mod timing;

pub use options::{Dynamics, Mode};
pub use outcome::Dynamic;
pub use rows::GateRow;

use super::datasets::Datasets;
use super::{Options, ProgressReporter, Workload, racing};
use crate::Result;
use crate::channels::Analysis;
use crate::data::Dataset;
use crate::device::{Device, Limit, Named, random_inputs};
use crate::gate::{Gate, GateForm, blocks, gated};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode, parse};
use crate::verify::{Verdict, benchmark_workloads, compare};
use candidates::{GateCandidate, candidates, split};
use choose::{Choice, eligible, fastest, picked, saved, within, worth_judging};
use evaluate::Accepted;
use judge::Judge;
use rows::{bare, rows};
use timing::time;

/// Everything that the search for gates works with.
struct GateSearch<'a> {
    workloads: &'a [Workload],
    analysis: &'a Analysis,
    device: &'a dyn Device,
    model: &'a ModelProto,
    graph: &'a Graph<'a>,
    options: &'a Options,
    data: &'a Datasets,
    /// Multiply-accumulates of the static model for one sample.
    macs: u64,
    dynamics: Dynamics,
    reporter: &'a dyn ProgressReporter,
    limit: &'a Limit,
}

/// Samples that stand in for real ones where gates are wanted without any.
const STAND_INS: usize = 16;
/// Batches of real samples that the last race runs on, for each load.
const REAL_RUNS: usize = 4;
/// Gates whose worth to the whole model is measured, and the gain that makes one worth nothing.
const LANES: usize = 8;
const WORTHLESS: f64 = 0.002;

/// Why there are no gates when the time is up.
const LATE: &str = "the time of --time-budget was up before gates were judged; allow more of it";

/// Choices that are made, each more careful, while the evaluation samples lose too much.
const ATTEMPTS: usize = 4;

/// Makes the dynamic variant of `base`, the static model (or the original, where that stands), of `macs` multiply-accumulates for
/// one sample.
///
/// # Errors
/// When a run fails. That no gate pays is no error: see [`Dynamic::declined`].
pub(super) fn dynamic(
    workloads: &[Workload],
    device: &dyn Device,
    (original, base, macs): (&[u8], &[u8], u64),
    (options, data): (&Options, &Datasets),
    dynamics: Dynamics,
    (reporter, limit): (&dyn ProgressReporter, &Limit),
) -> Result<Dynamic> {
    let Some(workload) = workloads.first() else {
        return Ok(Dynamic::none("no input shapes are given"));
    };
    if !device.is_here() {
        return Ok(Dynamic::none("gates are chosen by time, and the device is not here"));
    }
    if options.calib.is_none() && dynamics.keep.is_none() {
        return Ok(Dynamic::none("gates are calibrated on samples; give some with --calib"));
    }
    if dynamics.mode == Mode::Fused && device.info().kind != "cuda" {
        return Ok(Dynamic::none(
            "fused gates are for NVIDIA GPUs; use --gpu, or --dynamic tiles",
        ));
    }
    let mut proto = parse(base.to_vec())?.proto;
    let raised = match crate::gate::raise_opset(&mut proto) {
        Ok(raised) => raised,
        Err(why) => return Ok(Dynamic::none(&why)),
    };
    let graph = Graph::of(&proto)?;
    let search = GateSearch {
        workloads,
        analysis: &workload.opened.analysis,
        device,
        model: &proto,
        graph: &graph,
        options,
        data,
        macs,
        dynamics,
        reporter,
        limit,
    };
    let mut found = search.run(original, base)?;
    found.notes.extend(raised);
    Ok(found)
}

impl GateSearch<'_> {
    fn run(&self, original: &[u8], base: &[u8]) -> Result<Dynamic> {
        let (mut found, refused) = blocks(self.graph, self.analysis);
        found.sort_by_key(|b| b.nodes().into_iter().min());
        let dense = refused.iter().map(|(name, why)| bare(name, why));
        let mut dynamic = Dynamic {
            gates: dense.collect(),
            ..Dynamic::default()
        };
        if found.is_empty() {
            dynamic.declined = Some("it has no residual block whose branch convolutions could be left out".to_owned());
            return Ok(dynamic);
        }
        let specs = &self.workloads[0].opened.specs;
        let data = match &self.data.calib {
            Some(data) => data.clone(),
            None => Dataset::random(specs, STAND_INS, self.options.seed)?,
        };
        if self.options.calib.is_none() {
            let note = "accuracy is unverified: without --calib, gates are calibrated on random inputs";
            dynamic.notes.push(note.to_owned());
        }
        let fitted = self.options.goals.any() && self.data.calib.is_some();
        let (fit, judging) = split(&data, &found, fitted);
        self.reporter.step("calibrating gates");
        let batches = self
            .workloads
            .iter()
            .filter_map(|l| l.opened.specs.first()?.dims.first());
        let batch = batches.copied().max().unwrap_or(1);
        let parts = (self.model, self.graph);
        let progress = |done, total| self.reporter.progress(done, total);
        let wanted = (self.dynamics, batch);
        let mut candidates = candidates(
            parts,
            self.device,
            &found,
            (&data, fit),
            wanted,
            (self.limit, &progress),
        )?;
        self.reporter.step("timing gates");
        let inputs = random_inputs(specs, self.options.seed, 1.0)?;
        time(
            parts,
            self.device,
            (&inputs, self.dynamics.form()),
            &mut candidates,
            (self.limit, &progress),
        )?;
        if self.limit.is_up() {
            dynamic.declined = Some(LATE.to_owned());
            return Ok(dynamic);
        }
        let judge = self.judge(&mut candidates, (&data, judging))?;
        let accepted = self.accepted(&mut candidates, judge.as_ref(), base, &mut dynamic)?;
        let (wished, chosen) = (accepted.wished, accepted.chosen);
        dynamic
            .gates
            .extend(rows(&found, &candidates, (&wished, &chosen), self.dynamics));
        let gates: Vec<&Gate> = picked(&candidates, &chosen).map(|o| &o.gate).collect();
        if gates.is_empty() {
            let late = self.limit.is_up();
            dynamic.declined.get_or_insert_with(|| {
                if late {
                    return LATE.to_owned();
                }
                let any = candidates.iter().flatten().any(|o| eligible(o, false));
                if any {
                    "every gate that saves time costs more accuracy than --dynamic-drop allows".to_owned()
                } else {
                    let more = match (self.device.info().kind.as_str(), self.dynamics.mode) {
                        ("cuda", mode) if mode != Mode::Fused => "; on a GPU try --dynamic fused and larger batches",
                        _ => "",
                    };
                    format!("no gate was measured to be faster than the dense block it would take the place of{more}")
                }
            });
            return Ok(dynamic);
        }
        self.finish(dynamic, &gates, (original, base))
    }

    /// Chooses gates by what they lose on held-out calibration samples. Where evaluation samples are given, these decide: as
    /// long as the choice loses too much there, a more careful one is made.
    fn accepted(
        &self,
        candidates: &mut [Vec<GateCandidate>],
        judge: Option<&Judge>,
        base: &[u8],
        dynamic: &mut Dynamic,
    ) -> Result<Accepted> {
        let allowed = self.dynamics.most_drop;
        let mut most = allowed;
        let none = || -> Accepted {
            let none: Choice = vec![None; candidates.len()];
            Accepted {
                wished: none.clone(),
                chosen: none,
            }
        };
        if self.limit.is_up() {
            return Ok(none());
        }
        let before = self.evaluated(base)?;
        for attempt in 0..ATTEMPTS {
            if self.limit.is_up() {
                dynamic.declined = Some(LATE.to_owned());
                break;
            }
            let wished = self.choose(candidates, judge, most, dynamic)?;
            let wished = wished.unwrap_or_else(|| vec![None; candidates.len()]);
            let chosen = if self.dynamics.everywhere {
                wished.clone()
            } else {
                self.cut_back(candidates, wished.clone(), base)?
            };
            let gates: Vec<&Gate> = picked(candidates, &chosen).map(|o| &o.gate).collect();
            let Some(before) = before.as_ref().filter(|_| !gates.is_empty()) else {
                return Ok(Accepted { wished, chosen });
            };
            let seen = self.seen_drop(before, &gates)?;
            let share = self.dynamics.keep.is_some();
            dynamic.eval_drop = Some(seen.drop);
            dynamic.task = seen.task;
            if share || seen.drop <= allowed {
                return Ok(Accepted { wished, chosen });
            }
            let told = dynamic.task.as_ref().map_or(String::new(), |t| {
                format!(
                    " ({:.2} to {:.2} % with 95 % confidence)",
                    100.0 * t.drop_interval.low,
                    100.0 * t.drop_interval.high
                )
            });
            dynamic.declined = Some(format!(
                "on the --eval samples its gates lose {:.2} %{told}, more than --dynamic-drop {:.2} % allows, though {:.2} % on held-out \
                 calibration samples; give --calib samples that are more like them, or allow more",
                100.0 * seen.drop,
                100.0 * allowed,
                100.0 * dynamic.held_out_drop.unwrap_or(0.0)
            ));
            if attempt + 1 < ATTEMPTS {
                // As much less as it was too much, and at least by half.
                most *= (allowed / seen.drop.max(1e-12)).min(0.5);
            }
        }
        Ok(none())
    }

    /// The judge of the gates, which has measured what each loses alone; `None` where a share is given and nothing can be judged.
    fn judge<'j>(
        &'j self,
        candidates: &mut [Vec<GateCandidate>],
        (data, judging): (&'j Dataset, std::ops::Range<usize>),
    ) -> Result<Option<Judge<'j>>> {
        if self.dynamics.keep.is_some() && self.options.calib.is_none() {
            return Ok(None);
        }
        self.reporter.step("judging gates");
        let judge = Judge::new((self.model, self.graph), self.device, data, judging)?;
        if self.dynamics.keep.is_none() {
            for list in candidates.iter_mut() {
                // What is not judged cannot be chosen.
                let wanted = worth_judging(list, self.dynamics.everywhere);
                for (at, candidate) in list.iter_mut().enumerate() {
                    candidate.timing_only |= !wanted.contains(&at);
                }
            }
            let progress = |done, total| self.reporter.progress(done, total);
            judge.losses(candidates, &|o| !o.timing_only, (self.limit, &progress))?;
        }
        Ok(Some(judge))
    }

    /// The gates by the user's share, or by what they save within a drop of `most`.
    fn choose(
        &self,
        candidates: &[Vec<GateCandidate>],
        judge: Option<&Judge>,
        most: f64,
        dynamic: &mut Dynamic,
    ) -> Result<Option<Choice>> {
        let everywhere = self.dynamics.everywhere;
        if self.dynamics.keep.is_some() {
            let choice = fastest(candidates, everywhere);
            if let Some(judge) = judge {
                let gates: Vec<&Gate> = picked(candidates, &choice).map(|o| &o.gate).collect();
                dynamic.held_out_drop = Some(judge.accuracy_drop(&gates)?);
            }
            return Ok(Some(choice));
        }
        let Some(judge) = judge else { return Ok(None) };
        self.reporter.step("choosing gates");
        let progress = |done, total| self.reporter.progress(done, total);
        let found = within(candidates, judge, (most, everywhere), (self.limit, &progress))?;
        dynamic.held_out_drop = found.as_ref().map(|f| f.1);
        let few = judge.samples() < (2.0 / self.dynamics.most_drop.max(1e-9)) as usize;
        if found.is_some() && few && self.data.eval.is_none() && dynamic.notes.is_empty() {
            dynamic.notes.push(format!(
                "the drop was judged on {} samples; more of them in --calib tell small drops better",
                judge.samples()
            ));
        }
        Ok(found.map(|f| f.0))
    }

    /// The choice without gates that do not make the whole model faster.
    fn cut_back(&self, candidates: &[Vec<GateCandidate>], choice: Choice, base: &[u8]) -> Result<Choice> {
        let mut at: Vec<usize> = (0..choice.len()).filter(|&b| choice[b].is_some()).collect();
        if at.len() < 2 {
            return Ok(choice);
        }
        // The least certain first.
        let gain = |b: &usize| {
            choice[*b]
                .and_then(|o| candidates[*b].get(o))
                .map_or(0.0, |o| saved(o, false))
        };
        at.sort_by(|a, b| gain(a).total_cmp(&gain(b)));
        at.truncate(LANES);
        self.reporter.step("measuring whole models");
        let without = |b: usize| {
            let mut less = choice.clone();
            less[b] = None;
            less
        };
        let choices: Vec<Choice> = [choice.clone()]
            .into_iter()
            .chain(at.iter().map(|&b| without(b)))
            .collect();
        let mut models = vec![base.to_vec()];
        for choice in &choices {
            models.push(self.model_of(
                &picked(candidates, choice).map(|o| &o.gate).collect::<Vec<_>>(),
                self.dynamics.form(),
            )?);
        }
        let entries: Vec<&[u8]> = models.iter().map(Vec::as_slice).collect();
        let benchmarked = benchmark_workloads(
            self.device,
            &entries,
            &self.inputs()?,
            racing(self.limit, super::CHOOSING_SECONDS * 2.0),
            &|done, total| self.reporter.progress(done, total),
        )?;
        let whole = benchmarked[1].ratio();
        let mut kept = choice;
        for (entry, &b) in benchmarked[2..].iter().zip(&at) {
            if entry.ratio() < whole - WORTHLESS {
                kept[b] = None;
            }
        }
        Ok(kept)
    }

    fn inputs(&self) -> Result<Vec<(Vec<Named>, f64)>> {
        let one = |l: &Workload| Ok((random_inputs(&l.opened.specs, self.options.seed, 1.0)?, l.weight));
        self.workloads.iter().map(one).collect()
    }

    /// Several batches of real samples for every load that they fit, which share its weight; random ones elsewhere.
    fn real_inputs(&self) -> Result<Vec<(Vec<Named>, f64)>> {
        let eval = self.options.eval.as_ref().map(|(path, scaling)| (path, scaling));
        let calib = self.options.calib.as_ref().map(|(path, scaling, _)| (path, scaling));
        let Some((path, scaling)) = eval.or(calib) else {
            return self.inputs();
        };
        let mut all = Vec::new();
        for (workload, random) in self.workloads.iter().zip(self.inputs()?) {
            let batch = workload
                .opened
                .specs
                .first()
                .and_then(|s| s.dims.first())
                .copied()
                .unwrap_or(1);
            let data = Dataset::read(path, &workload.opened.specs, scaling).ok();
            let data = data.filter(|d| d.count() >= batch).map(|d| d.in_runs_of(batch));
            let Some(data) = data else {
                all.push(random);
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

    fn model_of(&self, gates: &[&Gate], form: GateForm) -> Result<Vec<u8>> {
        Ok(encode(&gated(self.model, self.graph, gates, form)?))
    }

    /// Races, verifies, and keeps the model if it is faster.
    fn finish(&self, mut dynamic: Dynamic, gates: &[&Gate], (original, base): (&[u8], &[u8])) -> Result<Dynamic> {
        self.reporter.step("verifying the dynamic variant");
        let (compact, masked) = (
            self.model_of(gates, self.dynamics.form())?,
            self.model_of(gates, GateForm::Masked)?,
        );
        let specs = &self.workloads[0].opened.specs;
        let inputs = random_inputs(specs, self.options.seed, 1.0)?;
        let reference = compare(self.device, &masked, &compact, specs, self.options.seed, 3)?;
        let holds = reference.holds();
        dynamic.reference = Some(reference);
        let mask = self.dynamics.mode == Mode::Mask;
        let model = if mask { masked } else { compact };
        let entries = benchmark_workloads(
            self.device,
            &[base, &model, original],
            &self.real_inputs()?,
            racing(self.limit, super::FINAL_SECONDS),
            &|done, total| self.reporter.progress(done, total),
        )?;
        dynamic.latency = Some([&entries[2], &entries[0], &entries[1]].map(|l| l.summary()));
        dynamic.ratio = Some((entries[1].ratio(), entries[1].ratio_noise()));
        dynamic.ratio_original = Some(entries[1].ratio() / entries[2].ratio());
        let dense = self.macs;
        // Halos can make a gate that keeps most do more than the dense block.
        let (blocks, kept) = gates
            .iter()
            .fold((0, 0), |(a, b), g| (a + g.block.macs(), b + g.macs()));
        dynamic.macs = Some(if mask {
            dense
        } else {
            (dense + kept).saturating_sub(blocks)
        });
        if gates.iter().any(|g| g.channels.is_some()) && !mask {
            let note = "gated channels are for one sample at a time: the dynamic file's batch is 1";
            dynamic.notes.push(note.to_owned());
        }
        if self.dynamics.mode == Mode::Fused {
            let note = "the dynamic file needs snapprune's operator library: register libsnapprune.so with the session's options";
            dynamic.notes.push(note.to_owned());
        } else if self.device.info().kind == "cuda"
            && self.device.load(base, &inputs, true).is_ok()
            && self.device.load(&model, &inputs, true).is_err()
        {
            dynamic
                .notes
                .push("some of its nodes run on the CPU, beside the GPU".to_owned());
        }
        dynamic.declined = None;
        if !holds {
            dynamic.declined = Some("its outputs differ from its masked twin's; please report this model".to_owned());
            return Ok(dynamic);
        }
        let faster = entries[1].verdict() == Verdict::Faster && entries[1].ratio() <= super::WORTH_A_FILE;
        if !faster && !mask && !self.dynamics.everywhere {
            dynamic.declined = Some(format!(
                "with its gates the whole model takes {:.3} of the static one's time, no gain beyond the noise",
                entries[1].ratio()
            ));
            return Ok(dynamic);
        }
        dynamic.model = Some(model);
        Ok(dynamic)
    }
}
