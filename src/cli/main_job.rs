//! `snapprune MODEL`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::screen::Screen;
use super::sink::{put, put_model, voice, writable};
use super::{interrupt, stdout, video};
use crate::flags::{MainArgs, add_hints, declined_hint, gates_hint, goal_flags};
use crate::jobs::{ModelSource, Naming, is_stream, optimize_model, same_file};
use crate::report::{Listed, outcome_text};
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
    if args.video {
        return video::run(&source, args);
    }
    let output_paths = output_paths(&source, args)?;
    let talk = !args.quiet && !args.json;
    let say = voice(!talk, output_paths.model.as_deref());
    let screen = Screen::new(args.quiet);
    let written_name = output_paths.model.as_deref().and_then(Path::file_name);
    let written_name = written_name.map_or("stdout.onnx".into(), |n| n.to_string_lossy());
    let settings = args.settings()?;
    let context = settings.context(interrupt::stop())?;
    say(format!(
        "device    {}\n",
        settings.device.describe(context.device.as_ref())
    ));
    let naming = Naming {
        command,
        written: &written_name,
        goal: goal_flags,
    };
    let mut done = optimize_model(context, &source, &settings, naming, &screen)?;
    add_hints(&mut done.json, &done.outcome);
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
        stdout::text(&text)?;
    }
    let listed = match args.verbose {
        0 => Listed::Changed,
        _ => Listed::All,
    };
    let step = |hint: String| say(format!("  → {hint}\n"));
    say(outcome_text(&done.outcome, listed));
    let ungated = done.outcome.dynamic.as_ref().and_then(|d| d.declined.as_ref());
    ungated
        .and_then(gates_hint)
        .map(str::to_owned)
        .into_iter()
        .for_each(step);
    let seconds = start.elapsed().as_secs_f64();
    if let Some(why) = &done.outcome.declined {
        say(format!("no static model: {why}\n"));
        declined_hint(why).into_iter().for_each(step);
    }
    match written.split_last() {
        Some((last, [])) => say(format!("written   {last} in {seconds:.1} s\n")),
        Some((last, rest)) => say(format!("written   {} and {last} in {seconds:.1} s\n", rest.join(", "))),
        None if done.outcome.nothing_to_change() => {
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
        let next = match args.work.setup.planning.deploy_dtype {
            None => format!("snapprune bench {} {}", source.name, model.display()),
            Some(dtype) => {
                let (model, dtype) = (model.display(), dtype.name());
                format!(
                    "bring {model} and {} to {dtype}, then compare both with snapprune bench",
                    source.name
                )
            }
        };
        say(format!("next      {next}\n"));
    }
    Ok(any)
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
        if same_file(file, &source.path) {
            return Err(Error::Usage(format!(
                "{} would overwrite the model that is read; name another file",
                file.display()
            )));
        }
        writable(file)?;
    }
    Ok(output_paths)
}
