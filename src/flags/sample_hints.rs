//! Which flags help with samples that do not serve.

use crate::error::{OpenAxes, SamplesFault};

/// What to do.
pub(super) fn samples(fault: &SamplesFault) -> String {
    let text = match fault {
        SamplesFault::Shape {
            open: OpenAxes::BatchBehind,
            ..
        } => "where another axis carries the batch, give samples without it, so that the first axis counts them",
        SamplesFault::Shape {
            open: OpenAxes::BehindBatch,
            ..
        } => "where the model leaves dimensions open, --shape or --dim set them",
        SamplesFault::Scaling(_) => {
            "--mean and --std give a number for each channel, or one for all; --pixel-range says on which scale"
        }
        SamplesFault::Labels(_) => {
            "--labels takes a COCO file (.json), a folder of PNG masks, a text file or an .npz file with `labels`, for the samples of --eval; --alphabet gives the letters of texts"
        }
        SamplesFault::NotFloats { .. } => "give real samples with --calib",
        SamplesFault::Shape { .. } => {
            "give samples of the shape that the model takes, one by one along the first axis; --resize brings `images` to an input's height and width"
        }
        SamplesFault::Contents(_) => {
            "--calib and --eval take an .npz file with an array for each input, by its name, or a folder of images"
        }
    };
    text.to_owned()
}
