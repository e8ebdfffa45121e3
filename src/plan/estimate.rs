//! Times that plans are compared by.

/// A time and how far off it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Milliseconds.
    pub ms: f64,
    /// Half the width of its 95 % interval, milliseconds.
    pub noise: f64,
}

impl Estimate {
    /// Half the width of the 95 % interval of the difference of two times.
    pub fn noise_to(&self, other: &Self) -> f64 {
        self.noise.hypot(other.noise)
    }
}
