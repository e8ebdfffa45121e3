//! `snapprune MODEL --video`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::screen::Screen;
use super::sink::{put, put_model, voice, writable};
use super::{interrupt, stdout};
use crate::flags::MainArgs;
use crate::jobs::{ModelSource, is_stream, make_video, same_file};
use crate::onnx::load;
use crate::playback::VideoFiles;
use crate::report::video_text;
use crate::video::Manifest;
use crate::{Error, Result};

/// `true` when files were written.
pub(super) fn run(source: &ModelSource, args: &MainArgs) -> Result<bool> {
    let start = Instant::now();
    let place = place(source, args)?;
    let settings = args.settings()?;
    if settings.options.goals.any() {
        return Err(Error::Usage(
            "files for video hold the model as it is: make a narrower one first, then its files".to_owned(),
        ));
    }
    let work = &args.work;
    if work.dynamic.asked() || settings.options.distill > 0 || settings.options.deploy_dtype.is_some() {
        return Err(Error::Usage(
            "files for video have the model's weights, all of its channels and no gates: --dynamic, --dynamic-keep, --dynamic-all, --distill and --deploy-dtype are for other jobs"
                .to_owned(),
        ));
    }
    if settings.options.calib.is_none() {
        return Err(Error::Usage(
            "--video needs --calib: frames in their order, a folder or an .npz".to_owned(),
        ));
    }
    let say = voice(args.quiet || args.json, Some(&place));
    let screen = Screen::new(args.quiet);
    let context = settings.context(interrupt::stop())?;
    say(format!(
        "device    {}\n",
        settings.device.describe(context.device.as_ref())
    ));
    let done = make_video(&context, source, &settings, args.work.dynamic.dynamic_drop, &screen)?;
    let mut written = Vec::new();
    if !done.outcome.files.is_empty() {
        remove_others(&place)?;
    }
    for file in &done.outcome.files {
        let path = place.with_extension(format!("video-{}.onnx", file.part));
        written.extend(put_model(Some(&path), &file.model, args.work.save.weights())?);
    }
    let text = format!("{:#}\n", done.json);
    if !written.is_empty() {
        written.push(put(Some(&place.with_extension("video.json")), text.as_bytes())?);
    }
    if args.json {
        stdout::text(&text)?;
    }
    say(video_text(&done.outcome));
    let seconds = start.elapsed().as_secs_f64();
    match written.as_slice() {
        [] => say(format!("nothing written ({seconds:.1} s)\n")),
        files => say(format!("written   {} in {seconds:.1} s\n", files.join(", "))),
    }
    Ok(!written.is_empty())
}

/// Removes the files of an earlier run under the same name, which would not go with those of this one.
fn remove_others(place: &Path) -> Result<()> {
    let Ok(earlier) = VideoFiles::find(&place.with_extension("video-dense.onnx"), None) else {
        return Ok(());
    };
    for file in earlier.tiles {
        let ours = load(&file).is_ok_and(|model| matches!(Manifest::of(&model.proto), Ok(Some(_))));
        if ours {
            std::fs::remove_file(&file).map_err(|e| Error::file(&file, e))?;
        }
    }
    Ok(())
}

/// What the files are called after.
fn place(source: &ModelSource, args: &MainArgs) -> Result<PathBuf> {
    let named = args.output.as_deref();
    if named.map_or(source.is_copy(), is_stream) {
        return Err(Error::Usage(
            "files for video are several, and standard output is one place: name a file with -o".to_owned(),
        ));
    }
    let place = named.map_or_else(|| source.path.with_extension("snap.onnx"), Path::to_path_buf);
    if same_file(&place.with_extension("video-dense.onnx"), &source.path) {
        return Err(Error::Usage(format!(
            "{} would be overwritten; name another file",
            source.path.display()
        )));
    }
    writable(&place)?;
    Ok(place)
}
