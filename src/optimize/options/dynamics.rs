//! What the user wants of the dynamic variant.

use crate::gate::GateForm;

/// Which gates may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Whatever pays: tiles at any batch, channels and both together at batch 1.
    #[default]
    Auto,
    /// Channels only (at batch 1).
    Channels,
    /// Tiles only.
    Tiles,
    /// As auto, written as masks over dense layers: the same outputs, no time saved.
    Mask,
    /// Tiles by operators of our own on a GPU: the file needs our library beside it.
    Fused,
    /// No dynamic variant.
    Off,
}

/// Which blocks get gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Those where a gate saves time.
    #[default]
    WherePaying,
    /// All that can have one, also where it costs time: for curves of accuracy against work.
    Everywhere,
}

/// How the dynamic variant is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamics {
    /// Which gates.
    pub mode: Mode,
    /// The share of samples whose class may change, at most (the loss, for other outputs).
    pub most_drop: f64,
    /// One share of tiles or channels for all gates.
    pub keep: Option<f64>,
    /// Which blocks get gates.
    pub placement: Placement,
}

impl Dynamics {
    /// The form whose time counts.
    pub fn form(&self) -> GateForm {
        match self.mode {
            Mode::Fused => GateForm::Fused,
            _ => GateForm::Compact,
        }
    }

    /// Whether only tiles are wanted.
    pub fn only_tiles(&self) -> bool {
        matches!(self.mode, Mode::Tiles | Mode::Fused)
    }
}

impl Default for Dynamics {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            most_drop: 0.005,
            keep: None,
            placement: Placement::WherePaying,
        }
    }
}
