//! A plan applied to a model, without timing anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::device::DeviceSettings;
use super::source::ModelSource;
use crate::channels::IndexRemaps;
use crate::device::{Device, Limit, ShapeOptions, Stop};
use crate::onnx::{declare_weights, encode};
use crate::optimize::{
    Allowed, Calibrated, Datasets, Declined, Directions, Distilling, Fitting, JudgedBy, Judging, Opened,
    ProgressReporter, SampleSource, SampleSources, Samples, Step, distilled, fitted, gives_no_numbers,
};
use crate::plan::{PlanFile, Reparametrization, folds_of, removable};
use crate::reconstruct::{CalibrationMethod, Change};
use crate::report::with_plan;
use crate::rewrite::rewrite;
use crate::score::value_bytes;
use crate::verify::{Agreement, MetricJudge, MetricScores, Task, UserMetric, compare, compare_task};
use crate::{Error, Result};

/// Which weights a plan may be applied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanFor {
    /// The very file that it was made for.
    #[default]
    SameFile,
    /// The same network, with whatever weights.
    OtherWeights,
}

/// Settings of applying a plan.
#[derive(Clone, Debug)]
pub struct ApplySettings {
    /// The plan's file.
    pub plan: PathBuf,
    /// Which weights it may be applied to.
    pub plan_for: PlanFor,
    /// The input shapes.
    pub shapes: ShapeOptions,
    /// Samples to compare the models on.
    pub eval: Option<SampleSource>,
    /// The model's task, and the weights of its outputs.
    pub judging: Judging,
    /// Samples to fit weights on.
    pub calib: Option<SampleSource>,
    /// How the scales of a quantized model's activations are chosen anew; `None`: they stay.
    pub requantize: Option<CalibrationMethod>,
    /// Gradient steps that train all weights together, at most; 0: none.
    pub distill: usize,
    /// So long, about; fewer steps are planned where they would take longer. `None`: as long as they take.
    pub distill_budget: Option<Duration>,
    /// Seed of the order of samples in gradient steps, and of the random inputs.
    pub seed: u64,
    /// A metric of the user's own, on the samples that models are compared on.
    pub metric: Option<Arc<dyn UserMetric>>,
    /// The device that weights are fitted on, and the library.
    pub device: DeviceSettings,
}

/// What applying a plan gives.
#[derive(Debug)]
pub struct Applied {
    /// The model.
    pub model: Vec<u8>,
    /// How its outputs agree with the original's.
    pub agreement: Agreement,
    /// How both do on real inputs.
    pub task: Option<Task>,
    /// The numbers of the user's own metric for both.
    pub metric: Option<MetricScores>,
    /// Removed channels that carried something.
    pub carrying: usize,
}

/// Applies a plan, measured or edited, to a model. Where samples are given, the remaining weights are fitted on them.
///
/// # Errors
/// When the plan does not fit the model, or is lossless and the outputs differ all the same.
pub fn apply(
    source: &ModelSource,
    settings: &ApplySettings,
    stop: &Stop,
    reporter: &dyn ProgressReporter,
) -> Result<Applied> {
    let plan = read_plan(&settings.plan)?;
    let runtime = settings.device.runtime(stop)?;
    let opened = source.open(&runtime, &settings.shapes)?;
    if plan.model != opened.model.hash && settings.plan_for == PlanFor::SameFile {
        return Err(Error::Plan(format!(
            "{} was made for another file",
            settings.plan.display()
        )));
    }
    let device = settings.device.open(&runtime)?;
    let device = device.as_ref();
    let before = encode(&opened.proto);
    let sources = SampleSources {
        eval: settings.eval.as_ref(),
        calib: settings.calib.as_ref(),
        judged_by: JudgedBy::of(settings.metric.as_ref()),
        judging: &settings.judging,
    };
    let Datasets {
        eval, calib, judged, ..
    } = Datasets::read(&opened, device, sources, reporter)?;
    let report = |done, total| reporter.progress(done, total);
    let judge = match (&settings.metric, &eval) {
        (Some(metric), Some(data)) => Some(MetricJudge::of(metric.clone(), device, &before, data, &report)?),
        _ => None,
    };
    let calib = calib.map(|data| Samples::new(data).judged_by(&judged));
    let opened = match plan.reparametrized.is_empty() {
        true => opened,
        false => reparametrized(&opened, &plan, device, calib.as_ref(), reporter)?,
    };
    let graph = opened.graph()?;
    let change = plan.change(&graph, &opened.analysis)?;
    let (folds, mut carrying) = folds_of(&change, &removable(&graph, &opened.analysis));
    let inside = opened
        .analysis
        .branches_at(&change.branches)
        .flat_map(|b| &b.groups)
        .map(|&g| opened.analysis.groups[g].width());
    carrying += inside.sum::<usize>();
    let mut proto = rewrite(&opened.proto, &graph, &opened.analysis, &change, &folds)?;
    let mut broken = false;
    if let Some(samples) = &calib {
        let remaps = IndexRemaps::new(&opened.analysis.dependencies, &opened.analysis.groups, &change);
        let change = Change {
            branches: &change.branches,
            model: &opened.proto,
            graph: &graph,
            analysis: &opened.analysis,
            remaps: &remaps,
        };
        let fitting = Fitting {
            seed: settings.seed,
            requantize: settings.requantize,
        };
        let limit = Limit::default();
        let fit = fitted(device, change, proto, samples, fitting, reporter, &limit)?;
        let how = Distilling {
            steps: settings.distill,
            at_most: settings.distill_budget.unwrap_or(Duration::MAX),
            seed: settings.seed,
            values: value_bytes(&opened.analysis, samples.data.declared()),
        };
        let fit = distilled(device, change.model, fit, samples, how, reporter, &limit)?;
        let trained = fit.distillation.as_ref();
        trained
            .iter()
            .for_each(|d| reporter.note(&format!("distillation: {}", d.text())));
        fit.notes.iter().for_each(|note| reporter.note(note));
        let scales = fit.activation_scales.as_ref();
        scales
            .iter()
            .for_each(|s| reporter.note(&format!("activation scales: {}", s.text())));
        broken = fit.is_broken();
        proto = fit.proto;
    }
    declare_weights(&mut proto);
    let after = encode(&proto);
    reporter.step(Step::Verify);
    let agreement = compare(device, &before, &after, &opened.specs, settings.seed, 3)?;
    let task = match &eval {
        Some(data) => compare_task(
            device,
            [&before, &after],
            data,
            judged.reading.as_ref(),
            &|done, total| reporter.progress(done, total),
        )?
        .map(|compared| compared.task),
        None => None,
    };
    let metric = judge.map(|judge| judge.compared(&after, &report)).transpose()?;
    if broken || gives_no_numbers(&agreement, task.as_ref()) {
        return Err(Error::Usage(format!(
            "{}; give calibration samples that are like the real ones",
            Declined::NoNumbers
        )));
    }
    if carrying == 0 && !agreement.holds() {
        return Err(Error::Plan(
            "the outputs differ though the plan is lossless; please report this model".to_owned(),
        ));
    }
    let told_by = plan.reparametrized.samples.as_ref();
    let others = told_by
        .zip(calib.as_ref())
        .filter(|(told, given)| **told != given.data.digest());
    if others.is_some() && !agreement.holds() {
        reporter.note(
            "the samples are others than those that the plan was made with: the principal directions that go, and so the outputs, are not \
             those that the plan's report tells of",
        );
    }
    let file = settings.plan.file_name().unwrap_or_default().to_string_lossy();
    let after = with_plan(after, (&file, &plan), &source.name, &opened);
    Ok(Applied {
        model: after,
        agreement,
        task,
        metric,
        carrying,
    })
}

/// The model that a plan's groups are those of: trunks rotated into the directions that the samples show, layers as two.
fn reparametrized(
    opened: &Opened,
    plan: &PlanFile,
    device: &dyn Device,
    samples: Option<&Samples>,
    reporter: &dyn ProgressReporter,
) -> Result<Opened> {
    let samples = samples.ok_or_else(|| {
        Error::Usage(
            "the plan takes out principal directions, which samples tell: give the calibration samples that it was made with".to_owned(),
        )
    })?;
    let on = Calibrated {
        device,
        samples,
        seed: plan.reparametrized.seed,
    };
    let allowed = Allowed {
        widths: true,
        rotation: !plan.reparametrized.rotated.is_empty(),
        zero: false,
        rank: !plan.reparametrized.pairs.is_empty(),
    };
    let (directions, _) = Directions::look(opened, on, allowed, &[], reporter, &Limit::default())?;
    let equal = directions.model(opened, &plan.reparametrized)?;
    let wanted = Reparametrization {
        samples: None,
        ..plan.reparametrized.clone()
    };
    if equal.equal_to.as_ref().is_none_or(|e| e.moves != wanted) {
        return Err(Error::Plan(
            "its rotated trunks or layers as two are not those of this model; make the plan anew".to_owned(),
        ));
    }
    let (before, after) = (encode(&opened.proto), encode(&equal.proto));
    if !compare(device, &before, &after, &opened.specs, 0, 3)?.holds() {
        return Err(Error::Plan(
            "with its trunks rotated and layers as two the model's outputs differ; make the plan anew".to_owned(),
        ));
    }
    Ok(equal)
}

fn read_plan(path: &Path) -> Result<PlanFile> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    let refused = |e| Error::Usage(format!("{} is not a plan: {e}", path.display()));
    let read: Value = serde_json::from_str(&text).map_err(refused)?;
    // A report holds the plan that its job made.
    let plan = read.get("plan").filter(|p| p.is_object()).unwrap_or(&read);
    PlanFile::deserialize(plan).map_err(refused)
}
