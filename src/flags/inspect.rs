//! Flags of commands that only read: `inspect` and `explain`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::shapes::ShapeArgs;

/// Flags of `inspect`.
#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    /// The model.
    pub model: PathBuf,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, conflicts_with = "dot")]
    pub json: bool,
    /// Print a graph of layers and widths for Graphviz.
    #[arg(long)]
    pub dot: bool,
}

/// Flags of `explain`.
#[derive(Debug, ClapArgs)]
pub struct ExplainArgs {
    /// A model that snapprune wrote.
    pub model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
