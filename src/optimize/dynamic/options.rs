//! What the user wants of the dynamic variant.

use crate::gate::GateForm;

/// Which gates may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
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

/// How the dynamic variant is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamics {
    /// Which gates.
    pub mode: Mode,
    /// The share of samples whose class may change, at most (the loss, for other outputs).
    pub most_drop: f64,
    /// One share of tiles or channels for all gates.
    pub keep: Option<f64>,
    /// Gates also where they cost time.
    pub everywhere: bool,
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
            everywhere: false,
        }
    }
}
