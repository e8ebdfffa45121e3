//! `snapprune pareto MODEL`.

use super::args::ParetoArgs;
use super::planning_args::GoalArgs;
use super::screen::Screen;
use super::setup;
use super::source::ModelSource;
use crate::onnx::save;
use crate::optimize::{Amount, ProgressReporter, pareto};
use crate::report::{pareto_svg, pareto_text};
use crate::{Error, Result};

/// Whether there is a curve: `false` where no width may change.
pub(super) fn run(args: &ParetoArgs) -> Result<bool> {
    let database = setup::store(&args.store)?;
    let runtime = setup::runtime(args.device.ort_lib.as_deref())?;
    let device = setup::device(&runtime, &args.device)?;
    if !args.json {
        println!("device    {}", setup::describe(device.as_ref(), &args.device));
    }
    let screen = Screen::new(args.quiet);
    screen.step("reading the model");
    let source = ModelSource::of(&args.model)?;
    let workloads = setup::opened(&source, &runtime, &args.shapes)?;
    if let Some(why) = workloads.first().and_then(|l| l.opened.nothing_to_change(true)) {
        screen.done();
        eprintln!("no curve: {why}");
        return Ok(false);
    }
    // The curve is one of latencies; the widths on it are free of tails.
    let goals = GoalArgs {
        target_latency: Some(Amount::Times(1.0)),
        calib: args.calib.clone(),
        min_width: args.min_width,
        ..Default::default()
    };
    let options = args.planning.options(args.seed, &args.store, &goals, &args.data);
    let turn = args.turn.take(device.as_ref(), &runtime.stop, &screen)?;
    let rows = pareto(&workloads, device.as_ref(), database, &options, args.measure, &screen);
    drop(turn);
    screen.done();
    let rows = rows?;
    if let Some(path) = &args.output {
        let name = args.model.file_name().unwrap_or_default().to_string_lossy();
        let title = format!("{name} on {}", device.info().name);
        save(path, pareto_svg(&rows, &title)?.as_bytes())?;
    }
    if args.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|e| Error::Plan(e.to_string()))?;
        println!("{text}");
    } else {
        print!("{}", pareto_text(&rows));
        if let Some(path) = &args.output {
            println!("written   {}", path.display());
        }
        println!("ask for a point with --target-latency, such as --target-latency 0.8x");
    }
    Ok(true)
}
