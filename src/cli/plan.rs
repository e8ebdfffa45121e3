//! `snapprune plan MODEL` and `snapprune apply MODEL PLAN`.

use super::args::{ApplyArgs, PlanArgs};
use super::main_job::{Job, run_job};
use super::screen::Screen;
use super::setup;
use crate::channels::Edits;
use crate::data::Dataset;
use crate::onnx::{encode, save};
use crate::optimize::{Watcher, open};
use crate::plan::{PlanFile, folds_of, removable};
use crate::refit::{Change, Settings, refit};
use crate::report::task_text;
use crate::rewrite::rewrite;
use crate::target::{CpuTarget, Runtime};
use crate::verify::{compare, compare_task};
use crate::{Error, Result};

/// Writes the plan that the main job would apply.
pub(super) fn plan(args: &PlanArgs) -> Result<bool> {
    let (outcome, _) = run_job(&Job {
        path: &args.model,
        options: args.planning.options(args.seed, &args.store, &args.goals, &args.data),
        device: &args.device,
        shapes: &args.shapes,
        profile: args.planning.profile.as_deref(),
        store: &args.store,
        quiet: args.quiet,
        talk: !args.quiet,
    })?;
    let Some(plan) = &outcome.plan else {
        if !args.quiet {
            println!(
                "nothing written: {}",
                outcome.declined.as_deref().unwrap_or("no plan was found")
            );
        }
        return Ok(false);
    };
    let text = serde_json::to_string_pretty(plan).map_err(|e| Error::Plan(e.to_string()))?;
    save(&args.output, format!("{text}\n").as_bytes())?;
    if !args.quiet {
        print!("{}", crate::report::outcome_text(&outcome, false));
        println!("written   {}; apply it with `snapprune apply`", args.output.display());
    }
    Ok(true)
}

/// Applies a plan, measured or edited, without timing anything.
pub(super) fn apply(args: &ApplyArgs) -> Result<bool> {
    let text = std::fs::read_to_string(&args.plan).map_err(|e| Error::file(&args.plan, e))?;
    let plan: PlanFile =
        serde_json::from_str(&text).map_err(|e| Error::Usage(format!("{} is not a plan: {e}", args.plan.display())))?;
    if setup::same_file(&args.output, &args.model) {
        return Err(Error::Usage(
            "-o would overwrite the model that is read; name another file".to_owned(),
        ));
    }
    let runtime = Runtime::load(args.ort_lib.as_deref())?;
    let opened = open(&args.model, &runtime, &setup::shapes(&args.shapes)?)?;
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
    let target = CpuTarget::new(runtime, 1);
    let scaling = args.data.scaling();
    let eval = args
        .data
        .eval
        .as_ref()
        .map(|path| Dataset::read(path, &opened.specs, &scaling));
    let eval = eval.transpose()?;
    if let Some(path) = &args.calib.calib {
        let data = Dataset::read(path, &opened.specs, &scaling)?.at_most(args.calib.calib_samples);
        let edits = Edits::new(&opened.analysis.coupling, &opened.analysis.groups, &change);
        let change = Change {
            model: &opened.proto,
            graph: &graph,
            analysis: &opened.analysis,
            edits: &edits,
        };
        let screen = Screen::new(false);
        screen.step("fitting weights");
        let progress = |done, total| screen.progress(done, total);
        let fitted = refit(
            &target,
            change,
            proto,
            (&data, 0..data.runs()),
            Settings::default(),
            &progress,
        );
        screen.finish();
        proto = fitted?;
    }
    let (before, after) = (encode(&opened.proto), encode(&proto));
    let agreement = compare(&target, &before, &after, &opened.specs, 0, 3)?;
    if let Some(data) = &eval
        && let Some(task) = compare_task(&target, &before, &after, data)?
    {
        print!("{}", task_text(&task));
    }
    println!(
        "outputs   largest difference {:.1e} ({:.1e} of the range), cosine {:.7}",
        agreement.max_abs_diff, agreement.max_rel_diff, agreement.cosine
    );
    if carrying > 0 && args.calib.calib.is_some() {
        println!(
            "note      {carrying} of the removed channels carried something; weights were fitted to make up for it"
        );
    } else if carrying > 0 {
        println!(
            "note      {carrying} of the removed channels carried something: the outputs change, and nothing makes up for \
             it; give samples with --calib"
        );
    } else if !agreement.holds() {
        return Err(Error::Plan(
            "the outputs differ though the plan is exact; please report this model".to_owned(),
        ));
    }
    save(&args.output, &after)?;
    println!("written   {}", args.output.display());
    Ok(true)
}
