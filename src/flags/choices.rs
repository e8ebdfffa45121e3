//! How the library's choices are written on the command line.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::data::{ChannelOrder, ImageLayout, PixelRange, Resize};
use crate::device::CudnnAlgo;
use crate::jobs::SettingsSearch;
use crate::optimize::{GrowInit, Growth, Mode};
use crate::profile::DeployDtype;
use crate::reconstruct::CalibrationMethod;
use crate::task::TaskKind;
use crate::zoo::Phase;

/// The words for the values of an enum, with their help.
macro_rules! choices {
    ($type:ty { $($value:ident = $word:literal: $help:literal,)+ }) => {
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$value),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(match self {
                    $(Self::$value => PossibleValue::new($word).help($help),)+
                })
            }
        }
    };
}

choices!(CudnnAlgo {
    Exhaustive = "exhaustive": "The most thorough way: its model of all their times",
    Heuristic = "heuristic": "Its quick heuristics",
    Default = "default": "Takes the default one",
});

choices!(SettingsSearch {
    Off = "off": "Those given; no others are tried",
    Given = "given": "Those given; what others would give is told",
    Auto = "auto": "The fastest",
});

choices!(Resize {
    Letterbox = "letterbox": "The longer side fits, the image in the middle of grey, as YOLO tools do",
    LetterboxCorner = "letterbox-corner": "The same, the image in the top left corner, as YOLOX does",
    Stretch = "stretch": "Both sides fit, whatever becomes of the image's proportions",
    Crop = "crop": "The shorter side fits, and the middle is taken",
});

choices!(ImageLayout {
    ChannelsFirst = "nchw": "In front of height and width",
    ChannelsLast = "nhwc": "Behind them",
});

choices!(ChannelOrder {
    Rgb = "rgb": "Red, green, blue",
    Bgr = "bgr": "Blue, green, red, as OpenCV has them",
    Gray = "gray": "Three times the grey value",
});

choices!(PixelRange {
    Unit = "0..1": "x / 255",
    Bytes = "0..255": "x as it is",
    Signed = "-1..1": "x / 127.5 − 1",
});

choices!(Growth {
    None = "none": "Never",
    Faster = "faster": "Where it was measured to be faster",
    Free = "free": "Also where it was measured to cost nothing: room for training",
});

choices!(DeployDtype {
    Int8 = "int8": "int8 activations and weights per channel between QuantizeLinear and DequantizeLinear, as quantize_static writes",
    Float16 = "fp16": "float16, with float32 inputs and outputs",
    Bfloat16 = "bf16": "bfloat16, likewise; layers are timed in float16",
});

choices!(CalibrationMethod {
    MinMax = "min-max": "The least and the greatest value",
    Percentile = "percentile": "All but one in ten thousand of the values",
    Entropy = "entropy": "The range whose histogram in integers diverges least from that of the values",
});

choices!(GrowInit {
    Zero = "zero": "Zeros: nothing reads them",
    Split = "split": "A copy of an old channel, which shares its work with it: exact, and ready to be trained on",
});

choices!(Mode {
    Auto = "auto": "Whatever pays: tiles at any batch, channels and both together at batch 1",
    Channels = "channels": "Channels only (at batch 1)",
    Tiles = "tiles": "Tiles only",
    Mask = "mask": "As auto, written as masks over dense layers: the same outputs, no time saved",
    Fused = "fused": "Tiles by operators of our own on a GPU: the file needs our library beside it",
    Off = "off": "No dynamic variant",
});

choices!(TaskKind {
    Classify = "classify": "One class for each sample",
    Detect = "detect": "Boxes with classes and scores",
    Segment = "segment": "A class for each place of a map",
    Embed = "embed": "Vectors whose directions count",
    Ctc = "ctc": "Strings, decoded greedily (connectionist temporal classification)",
    Regress = "regress": "Numbers",
});

choices!(Phase {
    Collect = "collect": "Read every model and list the problems that must be timed, each once",
    Profile = "profile": "Time them",
    Apply = "apply": "Plan, rewrite and verify every model",
});
