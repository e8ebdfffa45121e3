//! Files for video, made of a model.

use std::time::Instant;

use serde_json::{Value, json};

use super::context::DeviceContext;
use super::main_job::MainSettings;
use super::source::ModelSource;
use super::turn::take_turn;
use crate::device::Limit;
use crate::optimize::{ProgressReporter, Step, VideoOptions, VideoOutcome, video};
use crate::{Error, Result};

/// What a job gives.
#[derive(Debug)]
pub struct VideoMade {
    /// What came out.
    pub outcome: VideoOutcome,
    /// The report for programs.
    pub json: Value,
}

/// Makes the files; writes nothing.
///
/// # Errors
/// When no frames are given, the model or the frames cannot be read, or a run fails.
pub fn make_video(
    context: &DeviceContext,
    source: &ModelSource,
    settings: &MainSettings,
    most_drop: f64,
    reporter: &dyn ProgressReporter,
) -> Result<VideoMade> {
    let no_frames = || Error::Usage("files for video are made from frames in their order".to_owned());
    let frames = settings.options.calib.as_ref().ok_or_else(no_frames)?;
    let shapes = settings.shapes.first().map(|s| s.shapes.clone()).unwrap_or_default();
    reporter.step(Step::ReadModel);
    let opened = source.open(&context.runtime, &shapes)?;
    opened.notes.iter().for_each(|note| reporter.note(note));
    reporter.step(Step::ReadSamples);
    let data = frames.read(&opened.specs)?;
    data.notes().iter().for_each(|note| reporter.note(note));
    let device = context.device.as_ref();
    let turn = take_turn(device, settings.on_busy, &context.runtime.stop, reporter)?;
    let end = settings.options.time_budget.and_then(|b| Instant::now().checked_add(b));
    let options = VideoOptions {
        most_drop,
        judging: settings.options.judging.clone(),
        limit: Limit::new(context.runtime.stop.clone(), end),
    };
    let outcome = video(&opened, device, &data, &options, reporter)?;
    drop(turn);
    reporter.done();
    let json = json!({
        "model": source.name,
        "device": device.info().name,
        "video": outcome,
    });
    Ok(VideoMade { outcome, json })
}
