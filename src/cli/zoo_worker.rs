//! `snapprune zoo-worker`: does jobs as they come in on standard input, and answers on standard output.

use std::io::Write;

use super::interrupt;
use super::requests::requests;
use crate::device::{Turn, WhenBusy};
use crate::flags::{add_hints, declined_reason, goal_flags, main_job, reason, typed};
use crate::jobs::{
    DeviceContext, MainOutcome, MainSettings, ModelSource, Naming, SettingsSearch, open_workloads, optimize_model,
    take_turn,
};
use crate::onnx::{save, save_model};
use crate::optimize::{ProgressReporter, Step, needs};
use crate::profile::{Prober, Problem};
use crate::report::visible;
use crate::zoo::{Answer, Collected, Event, FailureKind, Flags, Job, Numbers, Optimize, Optimized};
use crate::{Error, Result};

/// Until standard input ends.
pub(super) fn run() -> Result<bool> {
    for line in requests() {
        let answer = match serde_json::from_str::<Job>(&line) {
            Ok(job) => done(&job),
            Err(e) => Err(Error::Usage(format!("not a job ({e})"))),
        };
        match answer {
            Ok(answer) => tell(&Event::Answer(Box::new(answer))),
            Err(error) => drop(failed(&error)),
        }
    }
    Ok(true)
}

/// Answers that a job failed; the exit status of a process that is left because of it.
pub(super) fn failed(error: &Error) -> u8 {
    let answer = match error {
        Error::Stopped => Answer::Stopped,
        error => {
            eprintln!("snapprune: {}", visible(&error.to_string()));
            Answer::Failed {
                failure: FailureKind::of(error),
                reason: reason(error),
            }
        }
    };
    tell(&Event::Answer(Box::new(answer)));
    2
}

fn tell(event: &Event) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more when the other side is gone.
    let _ = writeln!(out, "{}", serde_json::to_string(event).unwrap_or_default()).and_then(|()| out.flush());
}

/// Says the steps.
struct EventReporter;

impl ProgressReporter for EventReporter {
    fn step(&self, step: Step) {
        eprintln!("{}", visible(&step.to_string()));
        tell(&Event::Step(step.to_string()));
    }

    fn progress(&self, _: usize, _: usize) {}

    fn note(&self, what: &str) {
        eprintln!("note: {}", visible(what));
    }
}

fn done(job: &Job) -> Result<Answer> {
    match job {
        Job::Device { flags } => {
            tell(&Event::Begun);
            let settings = settings(flags)?;
            let context = settings.context(interrupt::stop())?;
            if settings.on_busy == WhenBusy::Fail {
                // Before anything is begun, and not for each model.
                drop(alone(&context, settings.on_busy)?);
            }
            Ok(Answer::Device {
                info: context.device.info().clone(),
                here: context.device.timer().is_some(),
            })
        }
        Job::Collect { model, flags } => {
            tell(&Event::Begun);
            collected(model, flags)
        }
        Job::Probe { flags, problems } => probed(flags, problems),
        Job::Optimize(what) => optimized(what),
    }
}

/// What a model needs timed, whatever is chosen for it.
fn collected(model: &std::path::Path, flags: &Flags) -> Result<Answer> {
    let settings = main_job(&model.to_string_lossy(), flags)?.settings()?;
    let device = &settings.device;
    let runtime = device.runtime(interrupt::stop())?.with_threads(device.threads);
    let workloads = open_workloads(&ModelSource::of(model)?, &runtime, &settings.shapes)?;
    let macs = workloads.first().map_or(0, |l| l.opened.analysis.total_macs());
    let needs = needs(&workloads, &runtime, &settings.options)?;
    Ok(Answer::Collected(Collected { macs, needs }))
}

fn probed(flags: &Flags, problems: &[Problem]) -> Result<Answer> {
    let settings = settings(flags)?;
    let context = settings.context(interrupt::stop())?;
    let alone = alone(&context, settings.on_busy)?;
    tell(&Event::Begun);
    let mut prober = Prober::new(context.device.as_ref(), context.database);
    prober.add_records(context.recorded.into_iter().flat_map(|p| p.records));
    prober.require(problems, &|_, _| {})?;
    prober.untraced.iter().for_each(|why| EventReporter.note(why));
    drop(alone);
    Ok(Answer::Probed {
        made: prober.made,
        known: prober.reused,
    })
}

/// Waits until no other process times anything on this device.
fn alone(context: &DeviceContext, on_busy: WhenBusy) -> Result<Option<Turn>> {
    tell(&Event::Waiting);
    take_turn(context.device.as_ref(), on_busy, &context.runtime.stop, &EventReporter)
}

/// The settings that hold whatever the model.
fn settings(flags: &Flags) -> Result<MainSettings> {
    main_job("", flags)?.settings()
}

/// The main job with everything written: a file is whole or not there.
fn optimized(what: &Optimize) -> Result<Answer> {
    let args = main_job(&what.model.to_string_lossy(), &what.flags)?;
    let mut settings = args.settings()?;
    // A note for each model of a zoo is not worth so many sessions.
    if settings.device.search == SettingsSearch::Given {
        settings.device.search = SettingsSearch::Off;
    }
    let source = ModelSource::of(&what.model)?;
    let stem = what.stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let written = format!("{stem}.snap.onnx");
    let command = typed(
        [source.file_name()]
            .into_iter()
            .chain(what.flags.of_result().words())
            .chain(["-o".to_owned(), written.clone()]),
    );
    let mut context = settings.context(interrupt::stop())?;
    if what.plan_only {
        context = context.of_known_times();
    }
    context.pruned = what.pruned.iter().cloned().collect();
    context.turn = alone(&context, settings.on_busy)?;
    tell(&Event::Begun);
    let naming = Naming {
        command: &command,
        written: &written,
        goal: goal_flags,
    };
    let MainOutcome {
        outcome,
        mut json,
        html,
    } = optimize_model(context, &source, &settings, naming, &EventReporter)?;
    add_hints(&mut json, &outcome);
    let mut optimized = Optimized {
        declined: outcome.declined.as_ref().map(declined_reason),
        differs: outcome.agreement.as_ref().is_some_and(|a| !a.holds()),
        device: format!("{} · {}", outcome.device.name, outcome.device.stack),
        numbers: Numbers::of(&outcome),
        ..Optimized::default()
    };
    let mut put = |ending: &str, bytes: &[u8]| -> Result<()> {
        let name = format!("{stem}{ending}");
        save(&what.stem.with_file_name(&name), bytes)?;
        optimized.files.insert(name, blake3::hash(bytes).to_hex().to_string());
        Ok(())
    };
    if let Some(plan) = &outcome.plan {
        let text = format!("{}\n", serde_json::to_string_pretty(plan).unwrap_or_default());
        if what.plan_only {
            put(".plan.json", text.as_bytes())?;
        }
        optimized.plan = Some(blake3::hash(text.as_bytes()).to_hex().to_string());
    }
    if !what.plan_only {
        put(".snap.html", html.as_bytes())?;
        put(".snap.json", format!("{json:#}\n").as_bytes())?;
        let gated = outcome.dynamic.as_ref().and_then(|d| d.model.as_ref());
        for (ending, model) in [(".snap.onnx", outcome.model.as_ref()), (".snap.dynamic.onnx", gated)] {
            let context = what.stem.with_file_name(format!("{stem}{ending}"));
            for saved in model.map_or(Ok(vec![]), |m| save_model(&context, m, args.work.save.weights()))? {
                let name = saved
                    .path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                optimized.files.insert(name, saved.hash);
            }
        }
        if gated.is_some() {
            optimized.declined = None;
        }
    }
    Ok(Answer::Optimized(Box::new(optimized)))
}
