//! What all strategies work with: the model, the device, and what is known of both.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use super::opened::Opened;
use super::options::Options;
use super::outcome::{Outcome, Probes};
use super::reporter::ProgressReporter;
use super::samples::Samples;
use super::workload::Workload;
use crate::channels::{Analysis, IndexRemaps};
use crate::data::Dataset;
use crate::device::{Device, Limit, NamedTensor, Timer};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::plan::{Candidates, ChannelCounts, LatencyModel, Plan, Removable};
use crate::profile::{Deployment, Prober};
use crate::rewrite::rewrite;
use crate::score::LossSpec;
use crate::verify::{Loaded, MetricJudge};
use crate::{Error, Result};

/// `short` makes a job's benchmarks take a quarter of their time, for tests, which ask what comes out and not how exactly it was timed.
const BENCHMARKS: &str = "SNAPPRUNE_BENCHMARKS";

/// The share of its time that a benchmark takes.
fn share() -> f64 {
    static SHARE: OnceLock<f64> = OnceLock::new();
    *SHARE.get_or_init(|| match std::env::var_os(BENCHMARKS).is_some_and(|v| v == "short") {
        true => 0.25,
        false => 1.0,
    })
}

/// Seconds for any benchmark when the time is nearly up.
const SHORT_SECONDS: f64 = 0.5;

/// A job under way: what it was given, the device's times at the present widths, and what may change.
pub(super) struct Session<'a> {
    /// The model at each set of input shapes.
    pub workloads: &'a [Workload],
    /// The model at the first of them.
    pub opened: &'a Opened,
    /// Look-ups over it.
    pub graph: Graph<'a>,
    /// The original, encoded.
    pub original: Vec<u8>,
    /// What becomes of models before they are timed; `None`: nothing.
    pub deployment: Option<Deployment>,
    /// The original in the form in which it will be deployed, encoded, where that is another.
    pub deployed_original: Option<Vec<u8>>,
    /// What plans are cut from as it is timed, where that is another model than the original.
    pub base: Option<Vec<u8>>,
    /// The predicted milliseconds of the original, where plans are cut from another model.
    pub original_ms: Option<f64>,
    pub device: &'a dyn Device,
    pub options: &'a Options,
    pub reporter: &'a dyn ProgressReporter,
    pub limit: Limit,
    /// Samples that plans are searched on, where these are others than those that models are compared on.
    pub searched: Option<&'a Dataset>,
    /// Samples that models are compared on.
    pub eval: Option<&'a Dataset>,
    /// The user's own metric on them.
    pub metric: Option<Rc<MetricJudge<'a>>>,
    /// Samples that weights are fitted on, and that judge them.
    pub samples: Option<Samples>,
    /// How outputs are judged.
    pub judged: LossSpec,
    /// Random inputs of every workload, with its weight.
    pub inputs: Vec<(Vec<NamedTensor>, f64)>,
    /// Channels that carry nothing.
    pub removable: Removable,
    /// Written-out broadcasts that may go, by node index.
    pub broadcasts: BTreeSet<usize>,
    /// Widths that lose nothing.
    pub candidates: Candidates,
    pub costs: LatencyModel,
    pub prober: Prober<'a>,
    /// Models that stay loaded.
    pub loaded: RefCell<Loaded>,
}

impl<'a> Session<'a> {
    /// The channels.
    pub fn analysis(&self) -> &'a Analysis {
        &self.opened.analysis
    }

    /// Passes progress on to the reporter.
    pub fn progress(&self) -> impl Fn(usize, usize) + use<'a> {
        let reporter = self.reporter;
        move |done, total| reporter.progress(done, total)
    }

    /// Channel counts of all groups as they are.
    pub fn present(&self) -> ChannelCounts {
        self.counts(&Plan::default())
    }

    /// Channel counts of all groups under a plan.
    pub fn counts(&self, plan: &Plan) -> ChannelCounts {
        counts(self.analysis(), plan)
    }

    /// The predicted latency of a plan over that of the original; `None` when nothing is known of a layer.
    pub fn predicted_share(&self, plan: &Plan) -> Option<f64> {
        let both = self.predict(plan).zip(self.predict_original());
        both.map(|(after, before)| after / before)
    }

    /// The predicted latency of a plan in milliseconds, without what nodes that go were measured to take; `None` when nothing is known of
    /// a layer.
    pub fn predict(&self, plan: &Plan) -> Option<f64> {
        let whole = self.costs.predict(&self.counts(plan))?;
        let gone = plan.unwritten(&self.graph, self.analysis());
        Some((whole - self.costs.nodes_ms(&gone)).max(0.0))
    }

    /// The predicted latency of the original in milliseconds.
    pub fn predict_original(&self) -> Option<f64> {
        self.original_ms.or_else(|| self.predict(&Plan::default()))
    }

    /// What plans are cut from, as it is timed.
    pub fn timed_base(&self) -> &[u8] {
        self.base.as_deref().unwrap_or_else(|| self.timed_original())
    }

    /// The model under a plan, its weights as they were.
    pub fn rewritten(&self, plan: &Plan) -> Result<ModelProto> {
        let (change, folds) = plan.change(self.analysis(), &self.removable);
        rewrite(&self.opened.proto, &self.graph, self.analysis(), &change, &folds)
    }

    /// The original as it is timed.
    pub fn timed_original(&self) -> &[u8] {
        self.deployed_original.as_deref().unwrap_or(&self.original)
    }

    /// A model as it is timed: encoded, in the form in which it will be deployed.
    ///
    /// # Errors
    /// When the model has no graph.
    pub fn timed(&self, model: &ModelProto) -> Result<Vec<u8>> {
        timed(self.deployment.as_ref(), model)
    }

    /// What becomes of every axis under a plan.
    pub fn remaps(&self, plan: &Plan) -> IndexRemaps {
        let analysis = self.analysis();
        let (change, _) = plan.change(analysis, &self.removable);
        IndexRemaps::new(&analysis.dependencies, &analysis.groups, &change)
    }

    /// Seconds for a benchmark that usually takes `usual`: few when less is left.
    pub fn seconds(&self, usual: f64) -> f64 {
        let usual = usual * share();
        let left = self.limit.at_most(Duration::from_secs_f64(usual)).as_secs_f64();
        if left < usual { SHORT_SECONDS.min(usual) } else { usual }
    }

    /// An outcome without a model.
    pub fn outcome(&self) -> Outcome {
        let probes = Probes {
            made: self.prober.made,
            reused: self.prober.reused,
            skipped: self.prober.skipped,
            pruned: self.prober.pruned_count(),
            exhaustive: self.costs.exhaustive(&self.candidates, &self.present()),
        };
        Outcome::new(self.opened, self.device.info(), &self.candidates, probes)
    }

    /// What times models.
    ///
    /// # Errors
    /// When the device is not here.
    pub fn timer(&self) -> Result<&'a dyn Timer> {
        self.device.require_timer()
    }

    /// # Errors
    /// When nothing can be measured, because the device is not here.
    pub fn must_be_here(&self) -> Result<()> {
        if self.device.timer().is_some() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{} is not here; goals need a device to measure on: leave out the recorded profile, or the goals",
            self.device.info().name
        )))
    }
}

/// A model as it is timed: see [`Session::timed`].
pub(super) fn timed(deployment: Option<&Deployment>, model: &ModelProto) -> Result<Vec<u8>> {
    Ok(match deployment {
        Some(deployment) => encode(&deployment.form(model)?),
        None => encode(model),
    })
}

/// Channel counts of all groups under a plan.
pub fn counts(analysis: &Analysis, plan: &Plan) -> ChannelCounts {
    let present = |id: usize| analysis.groups[id].classes.len();
    let mut counts: ChannelCounts = (0..analysis.groups.len())
        .map(|id| plan.counts.get(&id).copied().unwrap_or_else(|| present(id)))
        .collect();
    plan.groups_gone(analysis).into_iter().for_each(|g| counts[g] = 0);
    counts
}
