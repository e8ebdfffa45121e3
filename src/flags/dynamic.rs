//! Flags of the dynamic variant.

use clap::Args as ClapArgs;

use super::units::percent;
use crate::optimize::{Dynamics, Mode, Placement};

/// How the attention-gated variant is made.
#[derive(Clone, Debug, ClapArgs)]
pub struct DynamicArgs {
    /// Gates of the dynamic variant, which computes less for each input: whatever pays, only tiles, only channels (batch 1),
    /// masks that save no time, or none. It needs --calib, or --dynamic-keep.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub dynamic: Mode,
    /// The share of samples whose class the dynamic variant may change (the relative error, for other outputs).
    #[arg(long, value_name = "0.5%", value_parser = percent, default_value = "0.5%")]
    pub dynamic_drop: f64,
    /// Compute this share of tiles or channels in every block where that pays, whatever it loses.
    #[arg(long, value_name = "0.5", value_parser = percent)]
    pub dynamic_keep: Option<f64>,
    /// Use gates also where they cost time (for curves of accuracy against work).
    #[arg(long)]
    pub dynamic_all: bool,
    /// Do not make the dynamic variant.
    #[arg(long, conflicts_with = "dynamic")]
    pub no_dynamic: bool,
}

impl DynamicArgs {
    /// Whether gates are asked for by name, and not only made where they pay.
    pub fn asked(&self) -> bool {
        !self.no_dynamic
            && (!matches!(self.dynamic, Mode::Auto | Mode::Off) || self.dynamic_keep.is_some() || self.dynamic_all)
    }

    /// As options of the main job; `None` when no dynamic variant is wanted.
    pub fn dynamics(&self) -> Option<Dynamics> {
        (!self.no_dynamic && self.dynamic != Mode::Off).then_some(Dynamics {
            mode: self.dynamic,
            most_drop: self.dynamic_drop,
            keep: self.dynamic_keep,
            placement: if self.dynamic_all {
                Placement::Everywhere
            } else {
                Placement::WherePaying
            },
        })
    }
}
