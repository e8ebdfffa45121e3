//! `snapprune profile MODEL`.

use super::args::ProfileArgs;
use super::screen::Screen;
use super::setup;
use crate::Result;
use crate::optimize::{Watcher, open};
use crate::profile::{Prober, Problem, Profile, layers};
use crate::report::staircase_text;
use crate::target::Runtime;

/// Times every layer at a range of output widths and records the times.
pub(super) fn run(args: &ProfileArgs) -> Result<bool> {
    let runtime = Runtime::load(args.device.ort_lib.as_deref())?;
    let target = setup::target(&runtime, &args.device)?;
    let opened = open(&args.model, &runtime, &setup::shapes(&args.shapes)?)?;
    let graph = opened.graph()?;
    let mut staircases: Vec<(String, Problem, Vec<Problem>)> = Vec::new();
    for layer in layers(&graph, &opened.analysis) {
        if staircases.iter().any(|(_, p, _)| *p == layer.problem) {
            continue;
        }
        let steps = widths(&layer.problem, args.step, args.reach);
        let problems = steps.into_iter().map(|(cin, cout)| layer.at(cin, cout)).collect();
        staircases.push((layer.name.clone(), layer.problem.clone(), problems));
    }
    let database = setup::database(args.db.as_deref())?;
    let mut prober = Prober::new(target.as_ref(), database);
    let all: Vec<Problem> = staircases.iter().flat_map(|(_, _, p)| p.clone()).collect();
    let screen = Screen::new(false);
    screen.step("timing widths");
    let timed = prober.require(&all, &|done, total| screen.progress(done, total));
    screen.finish();
    timed?;
    println!("device    {}", setup::describe(target.as_ref(), &args.device));
    for (name, present, problems) in &staircases {
        let known: Vec<_> = problems.iter().filter_map(|p| prober.get(p)).collect();
        print!("{}", staircase_text(name, present, &known));
    }
    println!("{} problems timed, {} reused", prober.made, prober.reused);
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

/// (input, output) widths to time: multiples of `step` around the present output width, up to
/// `reach` times it; a depthwise layer has one width. The present width is always among them.
fn widths(problem: &Problem, step: usize, reach: f64) -> Vec<(usize, usize)> {
    let step = step.max(1);
    let most = (problem.cout as f64 * reach.max(1.0)).ceil() as usize;
    let least = (problem.cout as f64 / reach.max(1.0)).floor() as usize;
    let depthwise = problem.groups > 1 && problem.groups == problem.cin;
    let unit = if depthwise {
        problem.cout / problem.cin
    } else {
        problem.groups
    };
    let mut outs: Vec<usize> = (1..=most / step)
        .map(|k| k * step)
        .filter(|w| *w >= least && w.is_multiple_of(unit))
        .collect();
    outs.push(problem.cout);
    outs.sort_unstable();
    outs.dedup();
    outs.into_iter()
        .map(|out| {
            if depthwise {
                (out / unit, out)
            } else {
                (problem.cin, out)
            }
        })
        .collect()
}
