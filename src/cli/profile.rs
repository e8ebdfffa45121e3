//! `snapprune profile MODEL`.

use super::args::ProfileArgs;
use super::screen::Screen;
use super::source::ModelSource;
use super::{interrupt, setup};
use crate::Result;
use crate::device::{Runtime, Stop};
use crate::onnx::save;
use crate::optimize::{ProgressReporter, Staircase};
use crate::profile::{Multiprocessors, Prober, Problem, Profile, layers, staircase};
use crate::report::{profile_html, staircase_text};

/// Times every layer at a range of output widths and records the times; `false` where there is none.
pub(super) fn run(args: &ProfileArgs) -> Result<bool> {
    let screen = Screen::new(args.quiet);
    let source = ModelSource::of(&args.model)?;
    let done = profiled(&source, args, interrupt::stop(), &screen)?;
    screen.done();
    if let Some(why) = &done.nothing {
        eprintln!("nothing to time: {why}");
        return Ok(false);
    }
    let device = Multiprocessors::of(&done.profile.device);
    if !args.quiet {
        println!("device    {}", done.described);
        for (name, present, _) in &done.layers {
            let known = staircase(present, &done.profile.records);
            print!("{}", staircase_text(name, present, &known, device.as_ref()));
        }
        println!(
            "{} problems timed, {} reused; every width of these {} staircases would be {}",
            done.made,
            done.reused,
            done.staircases.len(),
            done.layers.iter().map(|(_, _, w)| w.len()).sum::<usize>()
        );
    }
    let mut written = Vec::new();
    if let Some(out) = &args.out {
        done.profile.write(out)?;
        written.push(out);
    }
    if let Some(page) = &args.report {
        save(page, done.html.as_bytes())?;
        written.push(page);
    }
    for file in written.iter().filter(|_| !args.quiet) {
        println!("written   {}", file.display());
    }
    Ok(true)
}

/// A model's staircases, timed.
pub(crate) struct Profiled {
    /// What was timed or known.
    pub profile: Profile,
    /// Layers with different problems: name, problem, and the widths that were looked at.
    layers: Vec<(String, Problem, Vec<usize>)>,
    /// The same for programs.
    pub staircases: Vec<Staircase>,
    /// A page of plots.
    pub html: String,
    described: String,
    /// Why there is no layer to time, if there is none.
    nothing: Option<String>,
    /// Problems timed in this run, and known before.
    pub made: usize,
    /// Known before.
    pub reused: usize,
}

/// Times the layers of a model at a range of widths.
///
/// # Errors
/// When the model cannot be read, the device is not there, or a probe fails.
pub(crate) fn profiled(
    source: &ModelSource,
    args: &ProfileArgs,
    stop: &Stop,
    reporter: &dyn ProgressReporter,
) -> Result<Profiled> {
    let runtime = Runtime::load(args.device.ort_lib.as_deref())?.stopped_by(stop);
    let device = setup::device(&runtime, &args.device)?;
    reporter.step("reading the model");
    let opened = source.open(&runtime, &setup::shapes(&args.shapes)?)?;
    let graph = opened.graph()?;
    let mut found: Vec<(String, Problem, Vec<usize>)> = Vec::new();
    let mut staircases: Vec<Staircase> = Vec::new();
    for layer in layers(&graph, &opened.analysis) {
        match staircases.iter_mut().find(|s| s.problem == layer.problem) {
            Some(same) => same.layers.push(layer.name.clone()),
            None => {
                let widths = layer.problem.widths(args.step.unwrap_or(1), args.reach);
                found.push((layer.name.clone(), layer.problem.clone(), widths));
                staircases.push(Staircase::new(&layer.name, &layer.problem));
            }
        }
    }
    let mut prober = Prober::new(device.as_ref(), setup::store(&args.store)?);
    let turn = args.turn.take(device.as_ref(), stop, reporter)?;
    reporter.step("timing widths");
    if args.step.is_some() {
        let all: Vec<Problem> = found
            .iter()
            .flat_map(|(_, p, w)| w.iter().map(|&w| p.with_output(w)))
            .collect();
        prober.require(&all, &|done, total| reporter.progress(done, total))?;
    } else {
        search(&mut prober, &found, reporter)?;
    }
    drop(turn);
    prober.untraced.iter().for_each(|why| reporter.note(why));
    staircases.iter_mut().for_each(|s| s.look_up(&prober));
    let described = setup::describe(device.as_ref(), &args.device);
    Ok(Profiled {
        html: profile_html(&source.file_name(), &described, &staircases)?,
        staircases,
        layers: found,
        described,
        nothing: opened.nothing_timed(),
        made: prober.made,
        reused: prober.reused,
        profile: Profile {
            schema_version: 1,
            device: device.info().clone(),
            records: prober.records(),
        },
    })
}

/// At most a tenth of the widths is timed, but at least this many.
const FEW: usize = 5;

/// Searches each staircase for its steps.
fn search(
    prober: &mut Prober,
    staircases: &[(String, Problem, Vec<usize>)],
    reporter: &dyn ProgressReporter,
) -> Result<()> {
    // The first widths of all in common sessions, then each staircase's own.
    let present: Vec<Problem> = staircases.iter().map(|(_, p, _)| p.clone()).collect();
    prober.require(&present, &|done, total| reporter.progress(done, total))?;
    for (k, (_, p, widths)) in staircases.iter().enumerate() {
        reporter.progress(k, staircases.len());
        prober.find_steps(p, widths, (widths.len() / 10).max(FEW))?;
    }
    Ok(())
}
