//! What becomes of an image before a model gets it.

/// How 8-bit images become a model's input: (x − mean) / std, channel by channel, in the order of the input's channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// Means of the channels, in the range that pixels are brought to ([`PixelRange`]); one number serves all channels.
    pub mean: Vec<f32>,
    /// Standard deviations of the channels, in that range.
    pub std: Vec<f32>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            mean: vec![0.0],
            std: vec![1.0],
        }
    }
}

/// How images become a model's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    /// How they are brought to the input's height and width; `None`: files are cropped, arrays have them.
    pub resize: Option<Resize>,
    /// What is around a letterboxed image, in all channels.
    pub pad: u8,
    /// Where the input has its channels; `None`: told by its shape.
    pub layout: Option<ImageLayout>,
    /// The channels of the input.
    pub channels: ChannelOrder,
    /// The range that pixels are brought to before means are subtracted; `None`: 0 to 1, and pixels as they are for inputs of
    /// uint8.
    pub range: Option<PixelRange>,
    /// What is done to the numbers then.
    pub scaling: Scaling,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            resize: None,
            // The grey of YOLO tools.
            pad: 114,
            layout: None,
            channels: ChannelOrder::default(),
            range: None,
            scaling: Scaling::default(),
        }
    }
}

impl From<&Scaling> for Preprocessing {
    fn from(scaling: &Scaling) -> Self {
        Self::from(scaling.clone())
    }
}

impl From<Scaling> for Preprocessing {
    fn from(scaling: Scaling) -> Self {
        Self {
            scaling,
            ..Self::default()
        }
    }
}

impl From<&Preprocessing> for Preprocessing {
    fn from(other: &Preprocessing) -> Self {
        other.clone()
    }
}

/// How an image is brought to a height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side fits, and the middle is taken.
    Crop,
    /// Both sides fit, each with a scale of its own.
    Stretch,
    /// The longer side fits, and the image stands in the middle of grey.
    Letterbox,
    /// The same, and the image stands in the top left corner.
    LetterboxCorner,
}

/// Where an image input has its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageLayout {
    /// In front of height and width.
    ChannelsFirst,
    /// Behind them.
    ChannelsLast,
}

/// The channels of an image input. One with a single channel takes grey values whatever is said here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Three times the grey value.
    Gray,
}

/// The range that the pixels 0 to 255 are brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelRange {
    /// x / 255.
    Unit,
    /// x as it is.
    Bytes,
    /// x / 127.5 − 1.
    Signed,
}

impl PixelRange {
    /// A pixel in this range.
    pub fn of(self, pixel: f32) -> f32 {
        match self {
            Self::Unit => pixel / 255.0,
            Self::Bytes => pixel,
            Self::Signed => pixel / 127.5 - 1.0,
        }
    }

    /// The pixel that a number of this range stands for.
    pub fn pixel(self, value: f32) -> f32 {
        match self {
            Self::Unit => value * 255.0,
            Self::Bytes => value,
            Self::Signed => (value + 1.0) * 127.5,
        }
    }
}
