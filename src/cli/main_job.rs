//! `snapprune MODEL`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::MainArgs;
use super::screen::Screen;
use super::setup;
use crate::onnx::save;
use crate::optimize::{Load, Options, Watcher, open, optimize};
use crate::profile::Profile;
use crate::report::{outcome_json, outcome_text};
use crate::target::{RecordedTarget, Runtime};
use crate::{Error, Result};

/// `true` when a faster model was written.
pub(super) fn run(path: &Path, args: &MainArgs) -> Result<bool> {
    let start = Instant::now();
    let (out, report) = outputs(path, args.output.as_deref())?;
    let talk = !args.quiet && !args.json;
    let options = Options {
        seed: args.seed,
        time_budget: args.time_budget,
        allow_mismatch: args.store.allow_mismatch,
    };
    let recorded = args.profile.as_deref().map(Profile::read).transpose()?;
    let database = setup::store(&args.store)?;
    let runtime = Runtime::load(args.device.ort_lib.as_deref())?;
    let mut target = setup::target(&runtime, &args.device)?;
    if let Some(profile) = &recorded
        && profile.device.fingerprint != target.info().fingerprint
        && !args.device.cpu
        && args.device.gpu.is_none()
    {
        target = Box::new(RecordedTarget::new(runtime.clone(), profile.device.clone()));
    }
    if talk {
        println!("device    {}", setup::describe(target.as_ref(), &args.device));
    }
    let screen = Screen::new(args.quiet);
    screen.step("reading the model");
    let mut loads = Vec::new();
    for (shapes, weight) in setup::loads(&args.shapes)? {
        let opened = open(path, &runtime, &shapes)?;
        loads.push(Load { opened, weight });
    }
    let opened = &loads[0].opened;
    if !args.quiet {
        for note in &opened.notes {
            eprintln!("note: {note}");
        }
    }
    let outcome = optimize(&loads, target.as_ref(), database, recorded, &options, &screen);
    screen.finish();
    let mut outcome = outcome?;
    let model = outcome.model.take();
    outcome.model = model.map(|bytes| crate::report::with_provenance(&bytes, path, opened, &outcome));
    let json = outcome_json(&path.display().to_string(), &loads, &outcome);
    let text = format!("{json:#}\n");
    if let Some(model) = &outcome.model {
        save(&out, model)?;
        save(&report, text.as_bytes())?;
    }
    if args.json {
        print!("{text}");
    }
    if talk {
        print!("{}", outcome_text(&outcome, args.verbose > 0));
        match &outcome.declined {
            None => println!(
                "written   {} and {} in {:.1} s",
                out.display(),
                report.display(),
                start.elapsed().as_secs_f64()
            ),
            Some(why) => println!("nothing written: {why} ({:.1} s)", start.elapsed().as_secs_f64()),
        }
    }
    Ok(outcome.model.is_some())
}

/// Where the model and the report go; the folder must be writable before anything is measured.
fn outputs(path: &Path, output: Option<&Path>) -> Result<(PathBuf, PathBuf)> {
    let out = output.map_or_else(|| path.with_extension("snap.onnx"), Path::to_path_buf);
    let report = out.with_extension("json");
    let same = |a: &Path, b: &Path| match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    };
    if same(&out, path) || same(&report, path) {
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
