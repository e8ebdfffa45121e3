//! A sequence of frames through the files of a video, beside the model that they were made of.

use std::path::PathBuf;

use super::device::DeviceSettings;
use super::turn::take_turn;
use crate::device::{DeviceInfo, ShapeOptions, Stop, WhenBusy, input_specs};
use crate::onnx::{Graph, load};
use crate::optimize::{Judging, ProgressReporter, SampleSource, Step, judged, labels_serve};
use crate::playback::{Timeline, Video, VideoFiles, play};
use crate::task::TaskKind;
use crate::video::Manifest;
use crate::{Error, Result};

/// Settings of playing a sequence.
#[derive(Clone, Debug)]
pub struct PlaySettings {
    /// The folder with the files of a video, one of them, or the model beside them.
    pub path: PathBuf,
    /// The model that they were made of; `None`: the one beside them.
    pub original: Option<PathBuf>,
    /// The device and the library.
    pub device: DeviceSettings,
    /// What to do while another process times on the device.
    pub on_busy: WhenBusy,
    /// The frames, in their order.
    pub frames: SampleSource,
    /// The model's task.
    pub judging: Judging,
}

/// A sequence that was played.
#[derive(Debug)]
pub struct PlayOutcome {
    /// The device.
    pub device: DeviceInfo,
    /// The device in words.
    pub described: String,
    /// The files.
    pub files: VideoFiles,
    /// What they say of themselves.
    pub manifest: Manifest,
    /// The shares of tiles that they compute.
    pub shares: Vec<f64>,
    /// What the model is for.
    pub kind: TaskKind,
    /// The frames.
    pub timeline: Timeline,
}

/// Plays a sequence.
///
/// # Errors
/// When a file or the frames cannot be read, the model is not given, or a run fails.
pub fn play_video(settings: &PlaySettings, stop: &Stop, reporter: &dyn ProgressReporter) -> Result<PlayOutcome> {
    let files = VideoFiles::find(&settings.path, settings.original.as_deref())?;
    let Some(original) = &files.plain else {
        return Err(Error::Usage(format!(
            "the model that {} was made of is not beside it: say where it is",
            files.dense.display()
        )));
    };
    let runtime = settings.device.runtime(stop)?;
    let device = settings.device.open(&runtime)?;
    let model = load(original)?;
    let specs = input_specs(&Graph::new(model.graph()?)?, &ShapeOptions::default())?;
    reporter.step(Step::ReadSamples);
    let data = settings.frames.read(&specs)?;
    data.notes().iter().for_each(|note| reporter.note(note));
    let judged = judged(&model.proto, &specs, device.as_ref(), Some(&data), &settings.judging)?;
    labels_serve(&data, &judged, &settings.frames, reporter)?;
    let reading = judged
        .reading
        .ok_or_else(|| Error::Usage("the outputs hold no numbers".to_owned()))?;
    let mut plain = device.deployed(&model.into_bytes())?;
    let mut video = Video::load(device.as_ref(), &files)?;
    let turn = take_turn(device.as_ref(), settings.on_busy, &runtime.stop, reporter)?;
    reporter.step(Step::MeasureModels);
    let timeline = play(&mut video, &mut plain, &data, &reading, &|done, total| {
        reporter.progress(done, total)
    })?;
    drop(turn);
    Ok(PlayOutcome {
        device: device.info().clone(),
        described: settings.device.describe(device.as_ref()),
        manifest: video.manifest().clone(),
        shares: video.shares(),
        kind: reading.kind,
        files,
        timeline,
    })
}
