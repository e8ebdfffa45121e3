//! Flags of the main job.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs};

use super::units::duration;
use super::work::WorkArgs;
use crate::jobs::MainSettings;
use crate::{Error, Result};

/// Flags of the main job.
#[derive(Debug, ClapArgs)]
pub struct MainArgs {
    /// The ONNX model to optimize; it is never changed. `-` reads it from standard input, and writes to standard output.
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Where to write the model [default: MODEL.snap.onnx beside MODEL; the reports go beside it]. `-`: standard output, without
    /// reports and dynamic variant.
    #[arg(short, long, value_name = "OUT.onnx")]
    pub output: Option<PathBuf>,
    /// The work.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Write the page with the report here, whatever came out [default: beside the model, when one is written].
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Time further widths for so long, so that the report's staircases show more steps (0s: none).
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub staircases: Duration,
    /// Write files for video in place of a narrower model: OUT.video-dense.onnx and some that compute only the tiles of a frame that changed, with
    /// what they keep from frame to frame as inputs and outputs. It needs --calib: frames in their order, a folder or an .npz; --dynamic-drop
    /// says what they may lose (0: nothing).
    #[arg(long)]
    pub video: bool,
    /// Print the report as JSON on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also list the groups that stay, with the reason.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

impl MainArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<MainSettings> {
        let work = &self.work;
        work.goals.check(work.dynamic.dynamics().is_some())?;
        let mut settings = work.setup.settings(&work.goals)?;
        if settings.options.deploy_dtype.is_some() && work.dynamic.asked() {
            return Err(Error::Usage(
                "gates are not made for a model that is quantized or cast before it is deployed: leave the flags of the dynamic variant \
                 out, or --deploy-dtype"
                    .to_owned(),
            ));
        }
        settings.options.metric = work.metric.metric()?;
        // Gates are not made in the form that is deployed.
        settings.options.dynamics = work
            .dynamic
            .dynamics()
            .filter(|_| settings.options.deploy_dtype.is_none());
        settings.options.latency_steps = self.staircases;
        settings.device.search = work.settings;
        Ok(settings)
    }
}
