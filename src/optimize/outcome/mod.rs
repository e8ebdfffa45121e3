//! The result of the main job, as data.

mod curve;
mod declined;
mod dynamic;
mod gate_drop;
mod group_row;
mod latency_steps;
mod no_gates;
mod pictures;
mod provider_settings;

use std::collections::BTreeMap;

pub use curve::{ChosenPoint, GoalAhead, MeasuredPoint, ParetoRow};
pub use declined::Declined;
pub(super) use declined::NoPlan;
pub use dynamic::{Dynamic, GateRow};
pub use gate_drop::GateDrop;
pub(super) use gate_drop::shown_drop;
pub use group_row::GroupRow;
pub use latency_steps::{LatencyCurve, LatencyStep, LatencySteps, use_of};
pub use no_gates::NoGates;
pub use pictures::{Pictures, SamplePicture};
pub use provider_settings::ProviderSettings;

use group_row::group_row;

use super::distillation::Distillation;
use super::fitting::ActivationScales;
use super::opened::Opened;
use super::stopwatch::StepTime;
use crate::device::DeviceInfo;
use crate::plan::{Candidates, PerMetric, PlanFile};
use crate::profile::{Noise, Summary};
use crate::task::Reading;
use crate::verify::{Agreement, Interval, MetricScores, Task};

/// How a narrower model was found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Calibration {
    /// Samples that were taken; 0 without any.
    pub samples: usize,
    /// Those that weights were fitted on.
    pub fitted_on: usize,
    /// Those that chose: what groups lose, which weights and which plan are better.
    pub chosen_on: usize,
    /// Those that the loss and the agreement are told on: nothing was fitted on them or chosen by them, unless there were too few.
    pub judged_on: usize,
    /// Those that were given and not taken, as more would not have fit in memory.
    pub left_out: usize,
    /// The sum of what its groups were measured to lose one by one: softened divergence for classifiers, squared error
    /// over variance for other outputs.
    pub predicted_loss: f64,
    /// What every output is compared as, by its name.
    pub losses: BTreeMap<String, String>,
    /// What choosing the scales of activations anew gave, where that was asked for.
    pub activation_scales: Option<ActivationScales>,
    /// What gradient steps on all weights together gave, where they were asked for.
    pub distillation: Option<Distillation>,
    /// The loss of the whole model on samples that its weights were not fitted on.
    pub held_out_loss: Option<f64>,
    /// The share of those samples that get the original's class, for classifiers.
    pub held_out_agreement: Option<f64>,
    /// What so few samples can tell of that share: its 95 % interval.
    pub held_out_interval: Option<Interval>,
    /// Seconds for timing widths, calibrating, ranking and measuring losses.
    pub search_seconds: f64,
    /// Seconds for fitting weights.
    pub fit_seconds: f64,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rewritten model's bytes, if one is faster.
    pub model: Option<Vec<u8>>,
    /// Why there is no model, if there is none.
    pub declined: Option<Declined>,
    /// The device.
    pub device: DeviceInfo,
    /// Every group.
    pub groups: Vec<GroupRow>,
    /// Latency of the original and of the rewritten model, benchmarked side by side.
    pub latency: Option<(Summary, Summary)>,
    /// Median of the interleaved ratios, rewritten over original, and its noise.
    pub ratio: Option<(f64, f64)>,
    /// The latencies that the profile predicts, milliseconds, before and after.
    pub predicted_ms: Option<(f64, f64)>,
    /// The counted metrics, before and after; 0 for the latency.
    pub counted: PerMetric<Counted>,
    /// How the outputs agree.
    pub agreement: Option<Agreement>,
    /// How steady the machine was.
    pub noise: Noise,
    /// How many problems were timed.
    pub probes: Probes,
    /// How the model's outputs are read, where that was looked at.
    pub reading: Option<Reading>,
    /// How both models do on real inputs.
    pub task: Option<Task>,
    /// Samples that both models were run on, to look at.
    pub pictures: Pictures,
    /// The numbers of the user's own metric for both models.
    pub metric: Option<MetricScores>,
    /// What was done besides taking channels out.
    pub moves: Vec<MoveRow>,
    /// The plan that made the model.
    pub plan: Option<PlanFile>,
    /// What was not verified, and why.
    pub unverified: Vec<String>,
    /// What the user should know of the result and of how it was measured.
    pub notes: Vec<String>,
    /// How channels were chosen and weights fitted, for a model that lost some.
    pub calibration: Option<Calibration>,
    /// The dynamic variant, where one was looked for.
    pub dynamic: Option<Dynamic>,
    /// Time against width of the layers, those that take most of the model's time first.
    pub latency_steps: Vec<LatencySteps>,
    /// What plans lose against what they take, where channels that carry something may go.
    pub curve: Vec<ParetoRow>,
    /// The plan that was chosen from it.
    pub chosen: Option<ChosenPoint>,
    /// What goals would give, where nothing was found without any loss.
    pub goals_ahead: Vec<GoalAhead>,
    /// What the original takes with other settings of the provider, where they were raced.
    pub settings: Vec<ProviderSettings>,
    /// How long each step took.
    pub seconds: Vec<StepTime>,
}

/// An amount of a counted metric, before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counted {
    /// Of the original.
    pub before: u64,
    /// Of the rewritten model.
    pub after: u64,
}

/// A change of the model that is more than channels that go.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MoveRow {
    /// `rotation`: directions of a linear trunk went; `rank`: a layer stands as two; `zero`: a residual branch went as a whole.
    pub kind: &'static str,
    /// The layers that make the directions, the layer that stands as two, or those of the branch.
    pub layers: Vec<String>,
    /// Directions before: all; of a branch the channels within.
    pub before: usize,
    /// Directions that are left; of a branch none.
    pub after: usize,
    /// What that was measured to lose alone.
    pub loss: Option<f64>,
}

/// Counts of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Timed in this run.
    pub made: usize,
    /// Known from the database or a recorded profile.
    pub reused: usize,
    /// Left untimed because the time was up, or the device is not here.
    pub skipped: usize,
    /// Left untimed because no choice rests on them, or like ones were slow.
    pub pruned: usize,
    /// What timing every width from the least candidate to the greatest would take.
    pub exhaustive: usize,
}

impl Outcome {
    pub(super) fn new(opened: &Opened, device: &DeviceInfo, candidates: &Candidates, probes: Probes) -> Self {
        let same = |metric| Counted {
            before: opened.counted[metric],
            after: opened.counted[metric],
        };
        Self {
            model: None,
            declined: None,
            device: device.clone(),
            groups: opened
                .analysis
                .groups
                .iter()
                .map(|g| group_row(opened, g, candidates))
                .collect(),
            latency: None,
            ratio: None,
            predicted_ms: None,
            counted: PerMetric::from_fn(same),
            agreement: None,
            noise: Noise::default(),
            probes,
            reading: None,
            task: None,
            pictures: Pictures::default(),
            metric: None,
            moves: Vec::new(),
            plan: None,
            unverified: Vec::new(),
            notes: Vec::new(),
            calibration: None,
            dynamic: None,
            latency_steps: Vec::new(),
            curve: Vec::new(),
            chosen: None,
            goals_ahead: Vec::new(),
            settings: Vec::new(),
            seconds: Vec::new(),
        }
    }

    /// Whether there is no model because no width may change, whatever is measured.
    pub fn nothing_to_change(&self) -> bool {
        matches!(self.declined, Some(Declined::NothingToChange(_)))
    }

    /// Names of the nodes that wrote out a broadcast and are gone in the rewritten model.
    pub fn broadcasts_removed(&self) -> &[String] {
        self.plan.as_ref().map_or(&[], |plan| &plan.broadcasts)
    }

    /// Names of the additions whose residual branch is gone in the rewritten model.
    pub fn branches_removed(&self) -> &[String] {
        self.plan.as_ref().map_or(&[], |plan| &plan.branches)
    }

    /// Says that the time was up before all was tried.
    pub(super) fn cut_short(&mut self, skipped: usize) {
        let untimed = match skipped {
            0 => String::new(),
            1 => ", one layer's width was not timed".to_owned(),
            n => format!(", {n} widths of layers were not timed"),
        };
        self.unverified.push(format!(
            "search: the time budget was up before all was tried{untimed}, and benchmarks were kept short; what was \
             timed is kept, so running again goes on from there"
        ));
    }

    /// The ratio that the profile predicts.
    pub fn predicted_ratio(&self) -> Option<f64> {
        let ratio = self.predicted_ms.map(|(before, after)| after / before);
        ratio.filter(|r| r.is_finite())
    }
}
