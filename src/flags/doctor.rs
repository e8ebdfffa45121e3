//! Flags of `doctor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::units::duration;

/// Flags of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// The latency database.
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Give a plug-in up when it has not told its devices after this time, or has not run a convolution after twice as long [default: 60s].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub ep_timeout: Option<Duration>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
