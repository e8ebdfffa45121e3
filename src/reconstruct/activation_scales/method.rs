//! How ranges of activations are told.

/// How the range of an activation is told from the values on samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalibrationMethod {
    /// The least and the greatest value.
    MinMax,
    /// All but one in ten thousand of the values.
    Percentile,
    /// The range whose histogram in integers diverges least (Kullback-Leibler) from that of the values; S. Migacz, "8-bit Inference with
    /// TensorRT", GTC 2017.
    Entropy,
}

impl CalibrationMethod {
    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::MinMax => "min-max",
            Self::Percentile => "percentile",
            Self::Entropy => "entropy",
        }
    }
}
