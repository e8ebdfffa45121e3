//! What a job tells while it goes on.

use std::fmt;

/// Told what is being done, and how much of it is done where that is known.
pub trait ProgressReporter {
    /// A step begins.
    fn step(&self, step: Step);
    /// The step has done `done` of `total`.
    fn progress(&self, done: usize, total: usize);
    /// Something that the user should know before the job is done; told once.
    fn note(&self, _what: &str) {}
    /// Nothing more is to come.
    fn done(&self) {}
    /// Shows something else for once, without what is being shown in the way.
    fn aside(&self, show: &dyn Fn()) {
        show();
    }
}

/// Tells nobody.
pub struct NoReporter;

impl ProgressReporter for NoReporter {
    fn step(&self, _: Step) {}
    fn progress(&self, _: usize, _: usize) {}
}

/// A step of a job. It displays as what is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The device is asked what it is.
    LookAtDevice,
    /// Other processes are timing on the device.
    WaitForDevice,
    /// The model is read and run for its shapes.
    ReadModel,
    /// The models of a zoo are read.
    ReadModels,
    /// Samples are read.
    ReadSamples,
    /// The model is timed with other settings of the provider.
    RaceSettings,
    /// Layers are timed at several widths.
    TimeWidths,
    /// The nodes of a whole model are timed.
    TimeNodes,
    /// More widths are timed, to be shown.
    TimeStaircases,
    /// Layers that models of a zoo share are timed.
    TimeProblems,
    /// Models of a zoo are planned.
    PlanModels,
    /// Models of a zoo are optimized.
    OptimizeModels,
    /// Plans are searched.
    SearchPlans,
    /// Whole models are measured.
    MeasureModels,
    /// Widths grow where that costs nothing.
    GrowForFree,
    /// Statistics of the layers' inputs are taken.
    Calibrate,
    /// Channels are ranked.
    RankChannels,
    /// The losses of groups are measured.
    MeasureLosses,
    /// Weights are fitted.
    FitWeights,
    /// Fitted weights are judged on held-out samples.
    JudgeWeights,
    /// All weights are trained together.
    Distill,
    /// Outputs and latency of the result are checked.
    Verify,
    /// Models are run on the evaluation samples.
    RunRealInputs,
    /// Statistics of blocks are taken.
    CalibrateGates,
    /// Gates are timed.
    TimeGates,
    /// The losses of gates are measured.
    JudgeGates,
    /// Gates are chosen.
    ChooseGates,
    /// The dynamic variant is run on the evaluation samples.
    RunRealInputsDynamic,
    /// Outputs and latency of the dynamic variant are checked.
    VerifyDynamic,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LookAtDevice => "looking at the device",
            Self::WaitForDevice => "waiting for the device",
            Self::ReadModel => "reading the model",
            Self::ReadModels => "reading models",
            Self::ReadSamples => "reading samples",
            Self::RaceSettings => "trying settings of the provider",
            Self::TimeWidths => "timing widths",
            Self::TimeNodes => "timing the model's nodes",
            Self::TimeStaircases => "timing widths for the report",
            Self::TimeProblems => "timing problems",
            Self::PlanModels => "planning",
            Self::OptimizeModels => "optimizing models",
            Self::SearchPlans => "searching plans",
            Self::MeasureModels => "measuring whole models",
            Self::GrowForFree => "growing for free",
            Self::Calibrate => "calibrating",
            Self::RankChannels => "ranking channels",
            Self::MeasureLosses => "measuring losses",
            Self::FitWeights => "fitting weights",
            Self::JudgeWeights => "judging fitted weights",
            Self::Distill => "training all weights together",
            Self::Verify => "verifying",
            Self::RunRealInputs => "running real inputs",
            Self::CalibrateGates => "calibrating gates",
            Self::TimeGates => "timing gates",
            Self::JudgeGates => "judging gates",
            Self::ChooseGates => "choosing gates",
            Self::RunRealInputsDynamic => "running real inputs through the dynamic variant",
            Self::VerifyDynamic => "verifying the dynamic variant",
        })
    }
}
