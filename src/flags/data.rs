//! Flags of real inputs.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::data::{ChannelOrder, ImageLayout, PixelRange, Preprocessing, Resize, Scaling};
use crate::optimize::SampleSource;

/// Real inputs.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct DataArgs {
    /// Compare the models on these samples: an .npz with `images` (uint8, N×H×W×C) or arrays named after the
    /// inputs, and `labels` for top-1 and top-5; or a folder of PNG and JPEG images, folders in it being classes.
    #[arg(long, value_name = "DATA")]
    pub eval: Option<PathBuf>,
    /// Labels of the --eval samples: a COCO file (.json, found by file names), a folder of PNG masks (with the images' names), a text file
    /// (NAME<TAB>TEXT, or a text a line), or an .npz with `labels`.
    #[arg(long, value_name = "LABELS", requires = "eval")]
    pub labels: Option<PathBuf>,
    /// How images are brought to the input's height and width [default: files are cropped, `images` must have them].
    #[arg(long, value_enum)]
    pub resize: Option<Resize>,
    /// What is around a letterboxed image.
    #[arg(long, value_name = "0..255", default_value_t = Preprocessing::default().pad)]
    pub pad_value: u8,
    /// Where the input has its channels [default: told by its shape].
    #[arg(long, value_enum)]
    pub layout: Option<ImageLayout>,
    /// The channels of the input; one with a single channel takes grey values.
    #[arg(long, value_enum, default_value_t)]
    pub channels: ChannelOrder,
    /// The range that pixels are brought to before --mean and --std [default: 0..1; as they are for uint8].
    #[arg(long, value_enum, allow_hyphen_values = true)]
    pub pixel_range: Option<PixelRange>,
    /// Means of the channels in the input's order, in the range of --pixel-range [default: 0].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    pub mean: Vec<f32>,
    /// Standard deviations of the channels, likewise [default: 1].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    pub std: Vec<f32>,
}

impl DataArgs {
    /// How images become inputs.
    pub fn preprocessing(&self) -> Preprocessing {
        let given = |list: &[f32], default: f32| if list.is_empty() { vec![default] } else { list.to_vec() };
        Preprocessing {
            resize: self.resize,
            pad: self.pad_value,
            layout: self.layout,
            channels: self.channels,
            range: self.pixel_range,
            scaling: Scaling {
                mean: given(&self.mean, 0.0),
                std: given(&self.std, 1.0),
            },
        }
    }

    /// The samples to compare models on.
    pub fn eval(&self) -> Option<SampleSource> {
        let source = SampleSource::new(self.eval.as_ref()?, self.preprocessing());
        Some(source.labelled(self.labels.clone()))
    }
}
