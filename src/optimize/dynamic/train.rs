//! Weights that make up for what gates leave out: gradient steps through the reference form, with the model without gates as the teacher
//! (AntiDote trains with its gates in place: arXiv 2008.06543; here without labels).

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::time::Instant;

use super::super::distillation::Distillation;
use super::super::distilling::{Distilling, at_once, too_large};
use super::super::reporter::Step;
use super::judge::Judge;
use super::search::GateSearch;
use crate::channels::IndexRemaps;
use crate::data::Dataset;
use crate::distill::{Schedule, Teaching, distill};
use crate::gate::{Gate, GateForm, gated};
use crate::onnx::Graph;
use crate::onnx::proto::{ModelProto, NodeProto, TensorProto};
use crate::reconstruct::{Change, FitSamples, Settings, reconstruct};
use crate::score::{Watch, value_bytes};
use crate::{Error, Result};

/// One in so many of the runs judges layer by layer what least squares give.
const JUDGING: usize = 8;
/// Places of every sample that a layer is fitted at, at most.
const PLACES: usize = 16;

/// The samples that weights behind gates are trained on, and what chooses between weights.
#[derive(Clone, Copy)]
pub(super) struct Lessons<'a> {
    pub data: &'a Dataset,
    pub runs: &'a Range<usize>,
    pub judge: &'a Judge<'a>,
}

/// What least squares gave.
pub(super) struct Taught {
    /// The model with the weights that lose least; `None`: its own do.
    pub weights: Option<ModelProto>,
    /// The loss with the model's own weights, and with these.
    pub losses: [f64; 2],
    /// What gates lose with them on the samples that choose.
    pub held_out_drop: f64,
}

/// What steps gave.
pub(super) enum Trained {
    /// Why none were made.
    Not(String),
    /// The model without gates, with the weights to be gated; `None` where those it had lose least. What they lose through the gates.
    Steps(Option<Box<ModelProto>>, Distillation),
}

impl GateSearch<'_> {
    /// Trains the weights of this search's model behind (and in) gates.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn trained(&self, gates: &[&Gate], lessons: Lessons) -> Result<Trained> {
        let session = self.session;
        let how = Distilling {
            steps: session.options.distill,
            at_most: match session.limit.end() {
                // The rest is for judging what comes of them.
                Some(end) => end.saturating_duration_since(Instant::now()) / 2,
                None => std::time::Duration::MAX,
            },
            seed: session.options.seed,
            values: value_bytes(session.analysis(), lessons.data.declared()),
        };
        if let Some(why) = too_large(lessons.data, lessons.runs, how) {
            return Ok(Trained::Not(why));
        }
        session.reporter.step(Step::Distill);
        let began = Instant::now();
        let masked = gated(self.model, self.graph, gates, GateForm::Masked)?;
        let progress = session.progress();
        let objectives = lessons.judge.objectives();
        let teaching = Teaching {
            teacher: lessons.judge.search.model,
            objectives: &objectives,
            data: lessons.data,
            runs: lessons.runs,
            unseen: lessons.judge.runs(),
            most: at_once(lessons.data, lessons.runs, how, &objectives),
        };
        let schedule = Schedule {
            steps: how.steps,
            at_most: how.at_most,
            seed: how.seed,
        };
        let watch = Watch {
            limit: &session.limit,
            progress: &progress,
        };
        let loss = |model: &ModelProto| Ok(lessons.judge.judgement(model)?.loss());
        let found = match distill(session.device, &masked, teaching, schedule, &loss, watch) {
            Ok(found) => found,
            // Memory that gradients need and a device does not have is no reason to lose the gates.
            Err(Error::Session(why)) => return Ok(Trained::Not(format!("ONNX Runtime: {why}"))),
            Err(other) => return Err(other),
        };
        let attention: usize = gates
            .iter()
            .map(|g| {
                let attended = g.channels.iter().filter(|c| c.fixed().is_none()).count();
                usize::from(g.tiles.is_some()) + 2 * attended
            })
            .sum();
        // What attention is made of is constant.
        let told = Distillation::of(&found, attention, began.elapsed().as_secs_f64());
        let weights = found
            .model
            .map(|trained| Box::new(with_weights_of(self.model, &trained)));
        Ok(Trained::Steps(weights, told))
    }
}

impl GateSearch<'_> {
    /// The model with the weights that lose least through gates: those of this search's model or those given, then what least squares make of
    /// the better ones.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn taught(
        &self,
        gates: &[&Gate],
        before: impl IntoIterator<Item = ModelProto>,
        lessons: Lessons,
    ) -> Result<Taught> {
        let masked = |model: &ModelProto| gated(model, &Graph::of(model)?, gates, GateForm::Masked);
        let loss = |model: &ModelProto| -> Result<f64> { Ok(lessons.judge.judgement(&masked(model)?)?.loss()) };
        let own = loss(self.model)?;
        let mut best = (own, None);
        let take = |best: (f64, Option<ModelProto>), model: ModelProto| -> Result<(f64, Option<ModelProto>)> {
            let found = loss(&model)?;
            Ok(if found < best.0 { (found, Some(model)) } else { best })
        };
        for before in before {
            best = take(best, before)?;
        }
        let start = best.1.as_ref().unwrap_or(self.model).clone();
        if let Some(fitted) = self.fitted(masked(&start)?, &start, lessons)? {
            best = take(best, fitted)?;
        }
        Ok(Taught {
            losses: [own, best.0],
            held_out_drop: self.held_out_drop(best.1.as_ref(), gates, lessons)?,
            weights: best.1,
        })
    }

    /// What gates lose on the samples that choose, with these weights or the model's own.
    pub(super) fn held_out_drop(&self, weights: Option<&ModelProto>, gates: &[&Gate], lessons: Lessons) -> Result<f64> {
        let model = weights.unwrap_or(self.model);
        lessons
            .judge
            .drop_of(&gated(model, &Graph::of(model)?, gates, GateForm::Masked)?)
    }

    /// The model with every layer behind a mask fitted to what it makes in the model without, by least squares on what masks let through; `None`
    /// where the samples are too few to hold some back.
    fn fitted(&self, masked: ModelProto, start: &ModelProto, lessons: Lessons) -> Result<Option<ModelProto>> {
        let session = self.session;
        let all = lessons.runs.clone();
        let fit = all.start..all.end - all.len().div_ceil(JUDGING);
        if fit.is_empty() {
            return Ok(None);
        }
        session.reporter.step(Step::FitWeights);
        let change = Change {
            model: self.model,
            graph: self.graph,
            analysis: session.analysis(),
            remaps: &IndexRemaps::default(),
            branches: &BTreeSet::new(),
        };
        let on = FitSamples {
            data: lessons.data,
            runs: fit.clone(),
            judge: fit.end..all.end,
        };
        let settings = Settings {
            places: PLACES,
            seed: session.options.seed,
            ..Settings::default()
        };
        let progress = session.progress();
        let watch = Watch {
            limit: &session.limit,
            progress: &progress,
        };
        let fitted = reconstruct(session.device, change, masked, on, settings, watch)?.proto;
        Ok(Some(with_weights_of(start, &fitted)))
    }
}

/// A model with the weights that another has: initializers of the same names, and those that layers which make the same value read.
fn with_weights_of(model: &ModelProto, other: &ModelProto) -> ModelProto {
    let mut copy = model.clone();
    let (Some(graph), Some(there)) = (copy.graph.as_mut(), other.graph.as_ref()) else {
        return copy;
    };
    let stored: HashMap<&str, &TensorProto> = there.initializer.iter().map(|t| (t.name(), t)).collect();
    for own in &mut graph.initializer {
        if let Some(other) = stored.get(own.name()) {
            own.clone_from(other);
        }
    }
    let makers = there.node.iter().filter_map(|n| Some((n.output.first()?.as_str(), n)));
    let makers: HashMap<&str, &NodeProto> = makers.collect();
    let mut added: Vec<&str> = Vec::new();
    for node in &mut graph.node {
        let same = node.output.first().and_then(|o| makers.get(o.as_str()));
        let Some(same) = same.filter(|s| s.op_type() == node.op_type()) else {
            continue;
        };
        for (i, name) in same.input.iter().enumerate().skip(1) {
            let known = graph.initializer.iter().any(|t| t.name() == name) || added.contains(&name.as_str());
            if node.input.get(i) == Some(name) || !stored.contains_key(name.as_str()) {
                continue;
            }
            if !known {
                added.push(name);
            }
            node.input.resize(node.input.len().max(i + 1), String::new());
            if let Some(input) = node.input.get_mut(i) {
                input.clone_from(name);
            }
        }
    }
    graph
        .initializer
        .extend(added.iter().filter_map(|n| stored.get(n)).map(|t| (*t).clone()));
    copy
}
