//! What the user asks for.

mod allowed;
mod dynamics;
mod goals;
mod judging;
mod samples;

pub use allowed::Allowed;
pub use dynamics::{Dynamics, Mode, Placement};
pub(super) use goals::limit_text;
pub use goals::{Amount, Goals};
pub use judging::Judging;
pub use samples::SampleSource;

use std::sync::Arc;
use std::time::Duration;

use crate::profile::DeployDtype;
use crate::reconstruct::CalibrationMethod;
use crate::verify::UserMetric;
use crate::{Error, Result};

/// What the user asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seed of the random inputs.
    pub seed: u64,
    /// No step goes on after this long: searches end with what they have, and the last benchmark and the verification of
    /// what is written are kept short.
    pub time_budget: Option<Duration>,
    /// Names of layers whose widths stay as they are.
    pub keep: Vec<String>,
    /// When widths grow.
    pub growth: Growth,
    /// What new channels hold.
    pub grow_init: GrowInit,
    /// Real inputs to compare the models on.
    pub eval: Option<SampleSource>,
    /// The number that an accuracy drop is counted in; `None`: that of the model's task.
    pub metric: Option<Arc<dyn UserMetric>>,
    /// Samples that weights are fitted on.
    pub calib: Option<SampleSource>,
    /// The model's task, and the weights of its outputs.
    pub judging: Judging,
    /// What a narrower model should reach; nothing is lost without.
    pub goals: Goals,
    /// What a plan for a goal may do to the model.
    pub allowed: Allowed,
    /// What becomes of a model that reaches a goal and is not faster.
    pub when_slower: WhenSlower,
    /// No group becomes narrower than this.
    pub min_width: usize,
    /// How the dynamic variant is made; `None`: not at all.
    pub dynamics: Option<Dynamics>,
    /// In which type the float model will be deployed, so that widths are chosen by its times; `None`: as it is.
    pub deploy_dtype: Option<DeployDtype>,
    /// How the scales of a quantized model's activations are chosen anew once it is narrower; `None`: they stay.
    pub requantize: Option<CalibrationMethod>,
    /// Gradient steps that train all weights of a narrower model together, at most; 0: none.
    pub distill: usize,
    /// What becomes of times that were recorded on another device or software stack.
    pub foreign_times: ForeignTimes,
    /// For how long widths are timed for the picture of the latency steps alone, when all else is done.
    pub latency_steps: Duration,
}

impl Options {
    /// Refuses what cannot be done together.
    ///
    /// # Errors
    /// When a goal may only be reached by moves that need samples, or a float model, and there are none.
    pub(super) fn check(&self) -> Result<()> {
        if !self.goals.any() || self.allowed.widths {
            return Ok(());
        }
        if self.calib.is_none() {
            return Err(Error::Usage(
                "what a goal may do here, rotation, zero or rank, takes out what calibration samples tell: give samples, or allow widths too"
                    .to_owned(),
            ));
        }
        if self.deploy_dtype.is_some() && !self.allowed.zero {
            return Err(Error::Usage(
                "what a goal may do here, rotation or rank, is not done for a model that will be quantized or cast: allow widths or zero too"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// When widths grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// Never.
    None,
    /// Where it was measured to be faster.
    #[default]
    Faster,
    /// Also where it was measured to cost nothing: room for training.
    Free,
}

/// What new channels hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrowInit {
    /// Zeros: nothing reads them.
    #[default]
    Zero,
    /// A copy of an old channel, which shares its work with it: exact, and ready to be trained on. Widths that only grow by zeros stay.
    Split,
}

/// What becomes of a model that reaches a goal in a counted metric and was not measured to be faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenSlower {
    /// It is not written.
    #[default]
    Decline,
    /// It is written, with a note.
    Write,
}

/// What becomes of recorded times of another device or software stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignTimes {
    /// They are an error.
    #[default]
    Refuse,
    /// They count as this device's.
    Accept,
}

impl Options {
    /// The seed of the shares, where new channels share the work of old ones.
    pub(super) fn split_seed(&self) -> Option<u64> {
        (self.grow_init == GrowInit::Split).then_some(self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowed, Amount, Goals, Options, SampleSource};
    use crate::data::Scaling;
    use crate::plan::Metric;
    use crate::profile::DeployDtype;

    #[test]
    fn directions_alone_need_samples_and_a_float_model() {
        let mut options = Options {
            goals: Goals::default().at_most(Metric::Macs, Amount::Times(0.5)),
            allowed: Allowed {
                widths: false,
                ..Allowed::everything()
            },
            ..Options::default()
        };
        let said = |options: &Options| options.check().map_err(|e| e.to_string());
        assert!(said(&options).is_err_and(|why| why.contains("give samples")));
        options.calib = Some(SampleSource::new("samples.npz", Scaling::default()));
        assert_eq!(said(&options), Ok(()));
        options.deploy_dtype = Some(DeployDtype::Int8);
        assert_eq!(said(&options), Ok(()));
        options.allowed.zero = false;
        assert!(said(&options).is_err_and(|why| why.contains("quantized or cast")));
        options.allowed.widths = true;
        options.calib = None;
        assert_eq!(said(&options), Ok(()));
    }
}
