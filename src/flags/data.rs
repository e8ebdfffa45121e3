//! Flags of real inputs.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::data::Scaling;
use crate::optimize::SampleSource;

/// Real inputs.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct DataArgs {
    /// Compare the models on these samples: an .npz with `images` (uint8, N×H×W×C) or arrays named after the
    /// inputs, and `labels` for top-1 and top-5; or a folder of PNG and JPEG images, folders in it being classes.
    #[arg(long, value_name = "DATA")]
    pub eval: Option<PathBuf>,
    /// Means of the image channels, for values from 0 to 1 [default: 0].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    pub mean: Vec<f32>,
    /// Standard deviations of the image channels [default: 1].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    pub std: Vec<f32>,
}

impl DataArgs {
    /// How images become inputs.
    pub fn scaling(&self) -> Scaling {
        let given = |list: &[f32], default: f32| if list.is_empty() { vec![default] } else { list.to_vec() };
        Scaling {
            mean: given(&self.mean, 0.0),
            std: given(&self.std, 1.0),
        }
    }

    /// The samples to compare models on.
    pub fn eval(&self) -> Option<SampleSource> {
        Some(SampleSource::new(self.eval.as_ref()?, self.scaling()))
    }
}
