//! `snapprune profile MODEL`.

use super::args::ProfileArgs;
use super::screen::Screen;
use super::setup;
use crate::Result;
use crate::optimize::{Watcher, open};
use crate::profile::{Multiprocessors, Prober, Problem, Profile, find_edges, layers};
use crate::report::staircase_text;
use crate::target::Runtime;

/// Times every layer at a range of output widths and records the times.
pub(super) fn run(args: &ProfileArgs) -> Result<bool> {
    let runtime = Runtime::load(args.device.ort_lib.as_deref())?;
    let target = setup::target(&runtime, &args.device)?;
    let opened = open(&args.model, &runtime, &setup::shapes(&args.shapes)?)?;
    let graph = opened.graph()?;
    let mut staircases: Vec<(String, Problem, Vec<usize>)> = Vec::new();
    for layer in layers(&graph, &opened.analysis) {
        if !staircases.iter().any(|(_, p, _)| *p == layer.problem) {
            let widths = widths(&layer.problem, args.step.unwrap_or(1), args.reach);
            staircases.push((layer.name.clone(), layer.problem.clone(), widths));
        }
    }
    let database = setup::store(&args.store)?;
    let mut prober = Prober::new(target.as_ref(), database);
    let screen = Screen::new(false);
    screen.step("timing widths");
    let every: usize = staircases.iter().map(|(_, _, w)| w.len()).sum();
    let timed = if args.step.is_some() {
        let all: Vec<Problem> = staircases
            .iter()
            .flat_map(|(_, p, w)| w.iter().map(|&w| at(p, w)))
            .collect();
        prober.require(&all, &|done, total| screen.progress(done, total))
    } else {
        search(&mut prober, &staircases, &screen)
    };
    screen.finish();
    timed?;
    let device = Multiprocessors::of(target.info());
    println!("device    {}", setup::describe(target.as_ref(), &args.device));
    for (name, present, problems) in &staircases {
        let known: Vec<_> = problems.iter().filter_map(|&w| prober.get(&at(present, w))).collect();
        print!("{}", staircase_text(name, present, &known, device.as_ref()));
    }
    println!(
        "{} problems timed, {} reused; every width would be {every}",
        prober.made, prober.reused
    );
    if let Some(out) = &args.out {
        let profile = Profile {
            schema_version: 1,
            device: target.info().clone(),
            records: prober.records(),
        };
        profile.write(out)?;
        println!("written   {}", out.display());
    }
    Ok(true)
}

/// At most a tenth of the widths is timed, but at least this many.
const FEW: usize = 5;

/// Searches each staircase for its steps.
fn search(prober: &mut Prober, staircases: &[(String, Problem, Vec<usize>)], screen: &Screen) -> Result<()> {
    // The first widths of all in common sessions, then each staircase's own.
    let present: Vec<Problem> = staircases.iter().map(|(_, p, _)| p.clone()).collect();
    prober.require(&present, &|done, total| screen.progress(done, total))?;
    for (k, (_, p, widths)) in staircases.iter().enumerate() {
        screen.progress(k, staircases.len());
        let budget = (widths.len() / 10).max(FEW);
        find_edges(widths, &[p.cout], budget, &mut |wanted| {
            let problems: Vec<Problem> = wanted.iter().map(|&w| at(p, w)).collect();
            prober.require(&problems, &|_, _| {})?;
            let time = |p: &Problem| {
                prober
                    .get(p)
                    .map_or((0.0, 0.0), |r| (r.summary().median, r.summary().half_width()))
            };
            Ok(problems.iter().map(time).collect())
        })?;
    }
    Ok(())
}

/// The problem at an output width; a depthwise layer's input follows.
pub(super) fn at(problem: &Problem, width: usize) -> Problem {
    let unit = if problem.is_depthwise() {
        problem.cout / problem.cin
    } else {
        0
    };
    problem.at(width.checked_div(unit).unwrap_or(problem.cin), width)
}

/// Output widths: multiples of `step` around the present one, up to `reach` times it, that the layer's
/// groups allow. The present width is always among them.
pub(super) fn widths(problem: &Problem, step: usize, reach: f64) -> Vec<usize> {
    let step = step.max(1);
    let most = (problem.cout as f64 * reach.max(1.0)).ceil() as usize;
    let least = ((problem.cout as f64 / reach.max(1.0)).floor() as usize).max(1);
    let unit = if problem.is_depthwise() {
        problem.cout / problem.cin
    } else {
        problem.groups
    };
    let fits = |w: &usize| *w == problem.cout || (w.is_multiple_of(step) && w.is_multiple_of(unit));
    (least..=most).filter(fits).collect()
}
