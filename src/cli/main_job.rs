//! `snapprune MODEL`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::args::{DeviceArgs, MainArgs, ShapeArgs};
use super::device_context::DeviceContext;
use super::screen::Screen;
use super::sink::{put, put_model, voice};
use super::source::{ModelSource, is_stream};
use super::turn_args::TurnArgs;
use super::{interrupt, setup};
use crate::optimize::{Known, Options, Outcome, ProgressReporter, Workload, optimize};
use crate::report::{About, Written, outcome_html, outcome_json, outcome_text, with_provenance};
use crate::{Error, Result};

/// Where the results go.
struct OutputPaths {
    /// The model: a file, or `None` for standard output.
    model: Option<PathBuf>,
    /// The reports.
    json: Option<PathBuf>,
    html: Option<PathBuf>,
}

/// `true` when a faster model was written, static or dynamic.
/// `command` is what was typed.
pub(super) fn run(path: &Path, args: &MainArgs, command: &str) -> Result<bool> {
    let start = Instant::now();
    let source = ModelSource::of(path)?;
    let output_paths = output_paths(&source, args)?;
    let talk = !args.quiet && !args.json;
    let say = voice(!talk, output_paths.model.as_deref());
    let screen = Screen::new(args.quiet);
    let written_name = output_paths.model.as_deref().and_then(Path::file_name);
    let written_name = written_name.map_or("stdout.onnx".into(), |n| n.to_string_lossy());
    let done = job(
        DeviceContext::of(&args.work, interrupt::stop())?,
        &source,
        args,
        command,
        &written_name,
        &screen,
        &|device| {
            say(format!("device    {device}\n"));
        },
    )?;
    let text = format!("{:#}\n", done.json);
    let weights = args.work.save.weights();
    let mut written = Vec::new();
    if let Some(model) = &done.outcome.model {
        written.extend(put_model(output_paths.model.as_deref(), model, weights)?);
    }
    let dynamic = done.outcome.dynamic.as_ref().and_then(|d| d.model.as_ref());
    if let (Some(beside), Some(model)) = (
        output_paths.model.as_ref().map(|p| p.with_extension("dynamic.onnx")),
        dynamic,
    ) {
        written.extend(put_model(Some(&beside), model, weights)?);
    }
    let any = !written.is_empty();
    if let Some(json) = output_paths.json.as_deref().filter(|_| any) {
        written.push(put(Some(json), text.as_bytes())?);
    }
    let asked = args.report.is_some();
    if let Some(html) = output_paths.html.as_deref().filter(|_| any || asked) {
        written.push(put(Some(html), done.html.as_bytes())?);
    }
    if args.json {
        print!("{text}");
    }
    say(outcome_text(&done.outcome, args.verbose > 0));
    let seconds = start.elapsed().as_secs_f64();
    if let Some(why) = &done.outcome.declined {
        say(format!("no static model: {why}\n"));
    }
    match written.split_last() {
        Some((last, [])) => say(format!("written   {last} in {seconds:.1} s\n")),
        Some((last, rest)) => say(format!("written   {} and {last} in {seconds:.1} s\n", rest.join(", "))),
        None if done.outcome.nothing_to_change => {
            say(format!(
                "nothing written ({seconds:.1} s); `snapprune inspect` lists every layer\n"
            ));
        }
        None => {
            let next = match args.work.goals.goals().any() {
                true => "relax the goal",
                false => "give up some accuracy for speed with --target-latency 0.9x --calib DATA",
            };
            say(format!(
                "nothing written ({seconds:.1} s); deploy the original, {next}, or see more with --report FILE.html\n"
            ));
        }
    }
    if any && let Some(model) = output_paths.model.as_ref().filter(|_| done.outcome.model.is_some()) {
        say(format!(
            "next      snapprune bench {} {}\n",
            source.name,
            model.display()
        ));
    }
    Ok(any)
}

/// What the main job gives.
pub(crate) struct Done {
    /// What came out; models have their provenance in them.
    pub outcome: Outcome,
    /// The report for programs.
    pub json: Value,
    /// The report for people.
    pub html: String,
}

/// The main job on a model, without writing anything.
///
/// # Errors
/// When the model or the data cannot be read, the device is not there, a run fails, or it is asked to stop.
pub(crate) fn job(
    context: DeviceContext,
    source: &ModelSource,
    args: &MainArgs,
    command: &str,
    written: &str,
    reporter: &dyn ProgressReporter,
    device: &dyn Fn(&str),
) -> Result<Done> {
    let (mut outcome, workloads) = run_job(
        context,
        &Job {
            source,
            options: options(args),
            device: &args.work.device,
            turn: args.work.turn,
            shapes: &args.work.shapes,
            notes: !args.quiet,
            reporter,
            tell: device,
        },
    )?;
    let opened = &workloads[0].opened;
    let name = source.file_name();
    let about = |gated| Written {
        name: &name,
        command,
        gated,
    };
    let model = outcome.model.take();
    outcome.model = model.map(|bytes| with_provenance(bytes, about(false), opened, &outcome));
    let gated = outcome.dynamic.as_mut().and_then(|d| d.model.take());
    let gated = gated.map(|bytes| with_provenance(bytes, about(true), opened, &outcome));
    if let Some(dynamic) = outcome.dynamic.as_mut() {
        dynamic.model = gated;
    }
    let page = About {
        name: &name,
        written,
        command,
    };
    Ok(Done {
        json: outcome_json(&source.name, &workloads, &outcome),
        html: outcome_html(page, &workloads, &outcome)?,
        outcome,
    })
}

/// The flags as options of the job.
pub(super) fn options(args: &MainArgs) -> Options {
    let work = &args.work;
    let mut options = work.planning.options(work.seed, &work.store, &work.goals, &work.data);
    options.dynamics = work.dynamic.dynamics();
    options.staircases = args.staircases;
    options
}

/// What the main job and `plan` have in common.
pub(super) struct Job<'a> {
    pub source: &'a ModelSource,
    pub options: Options,
    pub device: &'a DeviceArgs,
    pub turn: TurnArgs,
    pub shapes: &'a ShapeArgs,
    /// Whether notes on the file go to standard error.
    pub notes: bool,
    pub reporter: &'a dyn ProgressReporter,
    /// Told the device.
    pub tell: &'a dyn Fn(&str),
}

/// Opens the model at all its workloads and optimizes it; at least one load comes back.
pub(super) fn run_job(context: DeviceContext, job: &Job) -> Result<(Outcome, Vec<Workload>)> {
    let DeviceContext {
        runtime,
        device,
        recorded,
        database,
        pruned,
        turn,
    } = context;
    (job.tell)(&setup::describe(device.as_ref(), job.device));
    job.reporter.step("reading the model");
    let workloads = setup::opened(job.source, &runtime, job.shapes)?;
    if job.notes {
        for note in workloads.iter().take(1).flat_map(|l| &l.opened.notes) {
            job.reporter.aside(&|| eprintln!("note: {note}"));
        }
    }
    let known = Known {
        database,
        recorded,
        pruned,
    };
    let take = || job.turn.take(device.as_ref(), &runtime.stop, job.reporter);
    let turn = if turn.is_some() { turn } else { take()? };
    let outcome = optimize(&workloads, device.as_ref(), known, &job.options, job.reporter);
    drop(turn);
    job.reporter.done();
    Ok((outcome?, workloads))
}

/// The command as it was typed, folders left out: they are nobody's business but the user's.
pub(crate) fn command(words: impl Iterator<Item = String>) -> String {
    let word = |arg: String| {
        let last = arg.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        if last.contains(char::is_whitespace) {
            format!("'{last}'")
        } else {
            last
        }
    };
    let words: Vec<String> = words.map(word).collect();
    format!("snapprune {}", words.join(" "))
}

/// Where the model and the reports go; the folders must be writable before anything is measured.
fn output_paths(source: &ModelSource, args: &MainArgs) -> Result<OutputPaths> {
    let named = args.output.as_deref();
    let streams = named.map_or(source.is_copy(), is_stream);
    if streams {
        if args.json {
            let what = "--json and the model cannot both go to standard output; name a file for the model with -o";
            return Err(Error::Usage(what.to_owned()));
        }
        if args.work.save.save_as_external_data {
            let what = "--save-as-external-data writes two files, and the model goes to standard output; name a file for it with -o";
            return Err(Error::Usage(what.to_owned()));
        }
        if std::io::stdout().is_terminal() {
            let what =
                "the model would go to standard output, which is a terminal: send it to a file, or name one with -o";
            return Err(Error::Usage(what.to_owned()));
        }
    }
    let model = (!streams).then(|| named.map_or_else(|| source.path.with_extension("snap.onnx"), Path::to_path_buf));
    let beside = |ending: &str| model.as_ref().map(|m| m.with_extension(ending));
    let output_paths = OutputPaths {
        json: beside("json"),
        html: args.report.clone().or_else(|| beside("html")),
        model,
    };
    for file in [&output_paths.model, &output_paths.json, &output_paths.html]
        .into_iter()
        .flatten()
    {
        if setup::same_file(file, &source.path) {
            return Err(Error::Usage(format!(
                "{} would overwrite the model that is read; name another file",
                file.display()
            )));
        }
        let folder = match file.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        tempfile::tempfile_in(folder).map_err(|e| {
            Error::Usage(format!(
                "{} cannot be written to ({e}); name another place with -o",
                folder.display()
            ))
        })?;
    }
    Ok(output_paths)
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_command_is_told_without_folders() {
        let words = ["/home/a/model.onnx", "--cpu", "-o", "../out/my model.onnx"];
        let told = command(words.into_iter().map(str::to_owned));
        assert_eq!(told, "snapprune model.onnx --cpu -o 'my model.onnx'");
    }
}
