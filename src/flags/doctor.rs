//! Flags of `doctor`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Flags of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// The latency database.
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
