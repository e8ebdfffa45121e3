//! Flags of how a model is written.

use clap::Args as ClapArgs;

use crate::onnx::{THRESHOLD, Weights};

/// Where a written model's weights go.
#[derive(Clone, Debug, ClapArgs)]
pub struct SaveArgs {
    /// Write weights into a file beside the model; done by itself where the model's own would be larger than 1.9 GB.
    #[arg(long)]
    pub save_as_external_data: bool,
    /// Weights of fewer bytes than this stay in the model's own file all the same.
    #[arg(long, value_name = "BYTES", default_value_t = THRESHOLD)]
    pub external_data_threshold: usize,
}

impl SaveArgs {
    /// The same for the writer.
    pub fn weights(&self) -> Weights {
        Weights {
            beside: self.save_as_external_data,
            threshold: self.external_data_threshold,
        }
    }
}
