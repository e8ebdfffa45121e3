//! Flags of `profile`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::device::DeviceArgs;
use super::shapes::ShapeArgs;
use super::store::StoreArgs;
use super::turn::TurnArgs;
use crate::Result;
use crate::jobs::ProfileSettings;

/// Flags of `profile`.
#[derive(Debug, ClapArgs)]
pub struct ProfileArgs {
    /// The model.
    pub model: PathBuf,
    /// Where to write the times, for `--profile`.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where to write a page with the model's nodes and plots of its layers.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Time every output width that is a multiple of this [default: search for the steps with a tenth of the widths].
    #[arg(long, value_name = "N")]
    pub step: Option<usize>,
    /// Up to this many times the present width, and down to its inverse.
    #[arg(long, default_value_t = 1.34)]
    pub reach: f64,
    /// The latency databases.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

impl ProfileArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<ProfileSettings> {
        Ok(ProfileSettings {
            device: self.device.settings(),
            store: self.store.settings(),
            on_busy: self.turn.on_busy(),
            shapes: self.shapes.only()?,
            step: self.step,
            reach: self.reach,
        })
    }
}
