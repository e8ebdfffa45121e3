//! Flags of `verify`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::device::DeviceArgs;
use super::shapes::ShapeArgs;
use crate::Result;
use crate::jobs::VerifySettings;
use crate::verify::Tolerance;

/// Flags of `verify`.
#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// The model that is right.
    #[arg(value_name = "A.onnx")]
    pub first: PathBuf,
    /// The model to compare with it; its inputs must be the same.
    #[arg(value_name = "B.onnx")]
    pub second: PathBuf,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Real inputs, in place of random ones.
    #[command(flatten)]
    pub data: DataArgs,
    /// Tolerated difference, as a share of A's value.
    #[arg(long, default_value_t = 1e-3)]
    pub rtol: f64,
    /// Tolerated difference besides, in units of the output.
    #[arg(long, default_value_t = 1e-5)]
    pub atol: f64,
    /// Random inputs to try.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub tries: u64,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl VerifyArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<VerifySettings> {
        Ok(VerifySettings {
            first: self.first.clone(),
            second: self.second.clone(),
            device: self.device.settings(),
            shapes: self.shapes.only()?,
            eval: self.data.eval(),
            tolerance: Tolerance {
                relative: self.rtol,
                absolute: self.atol,
            },
            tries: self.tries,
            seed: self.seed,
        })
    }
}
