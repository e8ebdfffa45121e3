//! `snapprune plan MODEL` and `snapprune apply MODEL PLAN`.

use std::path::Path;

use super::args::{ApplyArgs, PlanArgs};
use super::device_context::DeviceContext;
use super::main_job::{Job, run_job};
use super::screen::Screen;
use super::sink::{put, put_model, voice};
use super::source::{ModelSource, is_stream};
use super::{interrupt, setup};
use crate::channels::IndexRemaps;
use crate::device::{CpuDevice, Limit, Runtime, Stop};
use crate::onnx::{declare_weights, encode};
use crate::optimize::{BROKEN, Datasets, Options, Outcome, ProgressReporter, Samples, fitted, gives_no_numbers};
use crate::plan::{PlanFile, folds_of, removable};
use crate::reconstruct::Change;
use crate::report::task_text;
use crate::rewrite::rewrite;
use crate::verify::{Agreement, Task, compare, compare_task};
use crate::{Error, Result};

/// Writes the plan that the main job would apply.
pub(super) fn plan(args: &PlanArgs) -> Result<bool> {
    let screen = Screen::new(args.quiet);
    let source = ModelSource::of(&args.model)?;
    let say = voice(args.quiet, place(&args.output));
    let outcome = planned(&source, args, interrupt::stop(), &screen, &|device| {
        say(format!("device    {device}\n"));
    })?;
    let Some(plan) = &outcome.plan else {
        let why = outcome.declined.as_deref().unwrap_or("no plan was found");
        say(format!(
            "nothing written: {why}; the original stays the best there is\n"
        ));
        return Ok(false);
    };
    let text = serde_json::to_string_pretty(plan).map_err(|e| Error::Plan(e.to_string()))?;
    let written = put(place(&args.output), format!("{text}\n").as_bytes())?;
    say(crate::report::outcome_text(&outcome, false));
    say(format!("written   {written}; apply it with `snapprune apply`\n"));
    Ok(true)
}

/// A file, or `None` for standard output.
fn place(output: &Path) -> Option<&Path> {
    (!is_stream(output)).then_some(output)
}

/// The main job up to its plan, without writing anything.
///
/// # Errors
/// Those of the main job.
pub(crate) fn planned(
    source: &ModelSource,
    args: &PlanArgs,
    stop: &Stop,
    reporter: &dyn ProgressReporter,
    device: &dyn Fn(&str),
) -> Result<Outcome> {
    let place = DeviceContext::with(&args.device, args.planning.profile.as_deref(), &args.store, stop)?;
    let (outcome, _) = run_job(
        place,
        &Job {
            source,
            options: args.planning.options(args.seed, &args.store, &args.goals, &args.data),
            device: &args.device,
            turn: args.turn,
            shapes: &args.shapes,
            notes: !args.quiet,
            reporter,
            tell: device,
        },
    )?;
    Ok(outcome)
}

/// What applying a plan gives.
pub(crate) struct Applied {
    /// The model.
    pub model: Vec<u8>,
    /// How its outputs agree with the original's.
    pub agreement: Agreement,
    /// How both do on real inputs.
    pub task: Option<Task>,
    /// Removed channels that carried something.
    pub carrying: usize,
}

/// Applies a plan, measured or edited, without timing anything.
pub(super) fn apply(args: &ApplyArgs) -> Result<bool> {
    if setup::same_file(&args.output, &args.model) {
        return Err(Error::Usage(
            "-o would overwrite the model that is read; name another file".to_owned(),
        ));
    }
    let screen = Screen::new(args.quiet);
    let source = ModelSource::of(&args.model)?;
    let done = applied(&source, args, interrupt::stop(), &screen)?;
    screen.done();
    let written = put_model(place(&args.output), &done.model, args.save.weights())?.join(" and ");
    let say = voice(args.quiet, place(&args.output));
    done.task.iter().for_each(|t| say(task_text(t)));
    say(format!(
        "outputs   largest difference {:.1e} ({:.1e} of the range), cosine {:.7}\n",
        done.agreement.max_abs_diff, done.agreement.max_rel_diff, done.agreement.cosine
    ));
    match (done.carrying, args.calib.calib.is_some()) {
        (0, _) => {}
        (n, true) => say(format!(
            "note      {n} of the removed channels carried something; weights were fitted to make up for it\n"
        )),
        (n, false) => say(format!(
            "note      {n} of the removed channels carried something: the outputs change, and nothing makes up for it; give \
             samples with --calib\n"
        )),
    }
    say(format!("written   {written}\n"));
    Ok(true)
}

/// The model that a plan makes.
///
/// # Errors
/// When the plan does not fit the model, or is exact and the outputs differ all the same.
pub(crate) fn applied(
    source: &ModelSource,
    args: &ApplyArgs,
    stop: &Stop,
    reporter: &dyn ProgressReporter,
) -> Result<Applied> {
    let text = std::fs::read_to_string(&args.plan).map_err(|e| Error::file(&args.plan, e))?;
    let plan: PlanFile =
        serde_json::from_str(&text).map_err(|e| Error::Usage(format!("{} is not a plan: {e}", args.plan.display())))?;
    let runtime = Runtime::load(args.ort_lib.as_deref())?.stopped_by(stop);
    let opened = source.open(&runtime, &setup::shapes(&args.shapes)?)?;
    if plan.model != opened.model.hash && !args.other_weights {
        return Err(Error::Usage(format!(
            "{} was made for another file; if that is the same network with other weights, say --other-weights",
            args.plan.display()
        )));
    }
    let graph = opened.graph()?;
    let change = plan.change(&graph, &opened.analysis)?;
    let (folds, carrying) = folds_of(&change, &removable(&graph, &opened.analysis));
    let mut proto = rewrite(&opened.proto, &graph, &opened.analysis, &change, &folds)?;
    let device = CpuDevice::new(runtime, 1);
    let scaling = args.data.scaling();
    let before = encode(&opened.proto);
    let named = Options {
        eval: args.data.eval.clone().map(|path| (path, scaling.clone())),
        calib: args
            .calib
            .calib
            .clone()
            .map(|path| (path, scaling, args.calib.calib_samples)),
        ..Options::default()
    };
    let Datasets { eval, calib } = Datasets::read(&opened, &device, &named, reporter)?;
    let mut broken = false;
    if let Some(data) = calib {
        let remaps = IndexRemaps::new(&opened.analysis.dependencies, &opened.analysis.groups, &change);
        let change = Change {
            model: &opened.proto,
            graph: &graph,
            analysis: &opened.analysis,
            remaps: &remaps,
        };
        let fit = fitted(
            &device,
            change,
            proto,
            &Samples::new(data),
            0,
            (reporter, &Limit::default()),
        )?;
        fit.notes.iter().for_each(|note| reporter.note(note));
        broken = fit.is_broken();
        proto = fit.proto;
    }
    declare_weights(&mut proto);
    let after = encode(&proto);
    reporter.step("verifying");
    let agreement = compare(&device, &before, &after, &opened.specs, 0, 3)?;
    let task = match &eval {
        Some(data) => compare_task(&device, &before, &after, data, &|done, total| {
            reporter.progress(done, total)
        })?,
        None => None,
    };
    if broken || gives_no_numbers(&agreement, task.as_ref()) {
        return Err(Error::Usage(BROKEN.to_owned()));
    }
    if carrying == 0 && !agreement.holds() {
        return Err(Error::Plan(
            "the outputs differ though the plan is exact; please report this model".to_owned(),
        ));
    }
    Ok(Applied {
        model: after,
        agreement,
        task,
        carrying,
    })
}
