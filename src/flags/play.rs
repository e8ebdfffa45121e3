//! Flags of `play`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::device::DeviceArgs;
use super::judging::JudgingArgs;
use super::turn::TurnArgs;
use crate::jobs::PlaySettings;
use crate::{Error, Result};

/// Flags of `play`.
#[derive(Debug, ClapArgs)]
pub struct PlayArgs {
    /// The folder with the files of a video, one of them, or the model beside them.
    #[arg(value_name = "FILES")]
    pub path: PathBuf,
    /// The model that they were made of [default: the one beside them].
    #[arg(long, value_name = "MODEL")]
    pub original: Option<PathBuf>,
    /// Where to write a page with the timeline.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// The frames: of a folder in the order of their names, of an .npz as they come.
    #[command(flatten)]
    pub data: DataArgs,
    /// The model's task.
    #[command(flatten)]
    pub judging: JudgingArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

impl PlayArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When no frames are given.
    pub fn settings(&self) -> Result<PlaySettings> {
        let missing = || Error::Usage("name the frames: --eval FRAMES, a folder of images or an .npz".to_owned());
        Ok(PlaySettings {
            path: self.path.clone(),
            original: self.original.clone(),
            device: self.device.settings(),
            on_busy: self.turn.on_busy(),
            frames: self.data.eval().ok_or_else(missing)?,
            judging: self.judging.judging(),
        })
    }
}
