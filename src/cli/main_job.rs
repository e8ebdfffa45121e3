//! `snapprune MODEL`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{DeviceArgs, MainArgs, ShapeArgs, StoreArgs};
use super::screen::Screen;
use super::setup;
use crate::onnx::save;
use crate::optimize::{Load, Options, Outcome, Watcher, optimize};
use crate::profile::Profile;
use crate::report::{Written, outcome_json, outcome_text, with_provenance};
use crate::target::{RecordedTarget, Runtime};
use crate::{Error, Result};

/// `true` when a faster model was written, static or dynamic.
pub(super) fn run(path: &Path, args: &MainArgs) -> Result<bool> {
    let start = Instant::now();
    let (out, report) = outputs(path, args.output.as_deref())?;
    let talk = !args.quiet && !args.json;
    let mut options = args.planning.options(args.seed, &args.store, &args.goals, &args.data);
    options.dynamics = args.dynamic.dynamics();
    let (mut outcome, loads) = run_job(&Job {
        path,
        options,
        device: &args.device,
        shapes: &args.shapes,
        profile: args.planning.profile.as_deref(),
        store: &args.store,
        quiet: args.quiet,
        talk,
    })?;
    let opened = &loads[0].opened;
    let command = command();
    let about = |gated| Written {
        path,
        command: &command,
        gated,
    };
    let model = outcome.model.take();
    outcome.model = model.map(|bytes| with_provenance(&bytes, about(false), opened, &outcome));
    let gated = outcome.dynamic.as_mut().and_then(|d| d.model.take());
    let gated = gated.map(|bytes| with_provenance(&bytes, about(true), opened, &outcome));
    if let Some(dynamic) = outcome.dynamic.as_mut() {
        dynamic.model = gated;
    }
    let dynamic = outcome.dynamic.as_ref().and_then(|d| d.model.as_ref());
    let json = outcome_json(&path.display().to_string(), &loads, &outcome);
    let text = format!("{json:#}\n");
    let beside = out.with_extension("dynamic.onnx");
    let mut written = Vec::new();
    for (file, model) in [(&out, outcome.model.as_ref()), (&beside, dynamic)] {
        if let Some(model) = model {
            save(file, model)?;
            written.push(file.display().to_string());
        }
    }
    if !written.is_empty() {
        save(&report, text.as_bytes())?;
        written.push(report.display().to_string());
    }
    if args.json {
        print!("{text}");
    }
    if talk {
        print!("{}", outcome_text(&outcome, args.verbose > 0));
        let seconds = start.elapsed().as_secs_f64();
        if let Some(why) = &outcome.declined {
            println!("no static model: {why}");
        }
        match written.split_last() {
            Some((last, [])) => println!("written   {last} in {seconds:.1} s"),
            Some((last, rest)) => println!("written   {} and {last} in {seconds:.1} s", rest.join(", ")),
            None => println!("nothing written ({seconds:.1} s)"),
        }
    }
    Ok(!written.is_empty())
}

/// What the main job and `plan` have in common.
pub(super) struct Job<'a> {
    pub path: &'a Path,
    pub options: Options,
    pub device: &'a DeviceArgs,
    pub shapes: &'a ShapeArgs,
    pub profile: Option<&'a Path>,
    pub store: &'a StoreArgs,
    pub quiet: bool,
    pub talk: bool,
}

/// Opens the model at all its loads and optimizes it; at least one load comes back.
pub(super) fn run_job(job: &Job) -> Result<(Outcome, Vec<Load>)> {
    let recorded = job.profile.map(Profile::read).transpose()?;
    let database = setup::store(job.store)?;
    let runtime = Runtime::load(job.device.ort_lib.as_deref())?;
    let mut target = setup::target(&runtime, job.device)?;
    if let Some(profile) = &recorded
        && profile.device.fingerprint != target.info().fingerprint
        && !job.device.cpu
        && job.device.gpu.is_none()
    {
        target = Box::new(RecordedTarget::new(runtime.clone(), profile.device.clone()));
    }
    if job.talk {
        println!("device    {}", setup::describe(target.as_ref(), job.device));
    }
    let screen = Screen::new(job.quiet);
    screen.step("reading the model");
    let loads = setup::opened(job.path, &runtime, job.shapes)?;
    if !job.quiet {
        for note in loads.iter().take(1).flat_map(|l| &l.opened.notes) {
            eprintln!("note: {note}");
        }
    }
    let outcome = optimize(&loads, target.as_ref(), database, recorded, &job.options, &screen);
    screen.finish();
    Ok((outcome?, loads))
}

/// The command as it was typed, folders left out: they are nobody's business but the user's.
fn command() -> String {
    let word = |arg: String| {
        let last = arg.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        if last.contains(char::is_whitespace) {
            format!("'{last}'")
        } else {
            last
        }
    };
    let words: Vec<String> = std::env::args().skip(1).map(word).collect();
    format!("snapprune {}", words.join(" "))
}

/// Where the model and the report go; the folder must be writable before anything is measured.
fn outputs(path: &Path, output: Option<&Path>) -> Result<(PathBuf, PathBuf)> {
    let out = output.map_or_else(|| path.with_extension("snap.onnx"), Path::to_path_buf);
    let report = out.with_extension("json");
    if setup::same_file(&out, path) || setup::same_file(&report, path) {
        return Err(Error::Usage(format!(
            "-o {} would overwrite the model that is read; name another file",
            out.display()
        )));
    }
    if !path.is_file() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::file(path, missing));
    }
    let folder = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    tempfile::tempfile_in(folder).map_err(|e| {
        Error::Usage(format!(
            "{} cannot be written to ({e}); name another place with -o",
            folder.display()
        ))
    })?;
    Ok((out, report))
}
