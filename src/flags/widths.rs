//! Flags of `widths`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::shapes::ShapeArgs;
use crate::Result;
use crate::jobs::WidthsSettings;

/// Flags of `widths`.
#[derive(Debug, ClapArgs)]
pub struct WidthsArgs {
    /// The model.
    pub model: PathBuf,
    /// The GPU, such as A100 or L4; `list` shows those known.
    #[arg(long, value_name = "NAME")]
    pub device: String,
    /// Fit the cost model to this recorded profile [default: prices fitted to an H200].
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Up to this many times the present width, and down to its inverse.
    #[arg(long, default_value_t = 1.34)]
    pub reach: f64,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl WidthsArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<WidthsSettings> {
        Ok(WidthsSettings {
            gpu: self.device.clone(),
            profile: self.profile.clone(),
            shapes: self.shapes.only()?,
            reach: self.reach,
            library: self.ort_lib.clone(),
        })
    }
}
