//! Why there is no dynamic variant.

use std::fmt;

use super::gate_drop::{GateDrop, shown_drop};

/// Why there is no dynamic variant. It displays as the message for the user, without a full stop.
#[derive(Clone, Debug, PartialEq)]
pub enum NoGates {
    /// Nothing of the model may change.
    NothingToMakeItFrom,
    /// It is made from the model that reaches the goal, and there is none.
    NoStaticModel,
    /// The time budget ended before gates were begun.
    NotBegun,
    /// The time budget ended before gates were judged.
    NotJudged,
    /// Gates are chosen by time, and the device is not here.
    DeviceElsewhere,
    /// There are no samples to calibrate on, and no share was given.
    NeedsSamples,
    /// Fused gates need an NVIDIA GPU.
    FusedNeedsGpu,
    /// The file's operators cannot be brought to the version that gates need; with the reason.
    Opset(String),
    /// The model has no block that could have a gate.
    NoBlock,
    /// Its blocks have nothing that a gate of the kind that is wanted could leave out.
    NothingToLeaveOut,
    /// Gates save time, and all lose more than is allowed.
    AllLoseTooMuch,
    /// No gate is faster than its dense block.
    NoFasterGate {
        /// Whether fused gates may help.
        try_fused: bool,
    },
    /// The gates lose more on the evaluation samples than is allowed.
    DropTooGreat {
        /// What is lost there.
        drop: GateDrop,
        /// What may be lost.
        allowed: f64,
        /// Lost on held-out calibration samples, 0 to 1.
        held_out: f64,
        /// Whether a metric of the user's own is what is lost.
        own_metric: bool,
    },
    /// The outputs differ from those of the reference form.
    OutputsDiffer,
    /// The whole model is not faster with its gates.
    NotFaster {
        /// Latency over the static model's.
        ratio: f64,
    },
}

impl fmt::Display for NoGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingToMakeItFrom => "there is nothing to make it from",
            Self::NoStaticModel => {
                "the dynamic variant is made from the model that reaches the goal, and there is none"
            }
            Self::NotBegun => "the time was up before gates could be tried",
            Self::NotJudged => "the time budget was up before gates were judged",
            Self::DeviceElsewhere => "gates are chosen by time, and the device is not here",
            Self::NeedsSamples => "gates are calibrated on samples, and there are none",
            Self::FusedNeedsGpu => "fused gates are for NVIDIA GPUs",
            Self::Opset(why) => why,
            Self::NoBlock => "it has no residual block and no chain whose convolutions could be left out",
            Self::NothingToLeaveOut => "its blocks have no tiles and no channels that such a gate could leave out",
            Self::AllLoseTooMuch => "every gate that could be used costs more accuracy than is allowed",
            Self::NoFasterGate { .. } => {
                "no gate was measured to be faster than the dense block it would take the place of"
            }
            Self::OutputsDiffer => "its outputs differ from its reference form's; please report this model",
            Self::DropTooGreat {
                drop,
                allowed,
                held_out,
                own_metric,
            } => {
                return write!(
                    f,
                    "its gates lose {}, more than the {} that are allowed, though {} on held-out calibration samples",
                    drop.text(*own_metric),
                    shown_drop(*allowed, *own_metric),
                    shown_drop(*held_out, false)
                );
            }
            Self::NotFaster { ratio } => {
                return write!(
                    f,
                    "with its gates the whole model takes {ratio:.3} of the static one's time, no gain beyond the noise"
                );
            }
        })
    }
}

impl serde::Serialize for NoGates {
    /// As the message.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
