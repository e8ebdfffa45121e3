//! What every job does first: times the model as it is, and works out what may change.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::alone::Alone;
use super::datasets::Datasets;
use super::kept::{nodes_kept, restrict};
use super::opened::Opened;
use super::options::{ForeignTimes, Options};
use super::reporter::{ProgressReporter, Step};
use super::samples::Samples;
use super::session::{Session, timed};
use super::workload::{Known, Workload, first};
use crate::device::{CpuFallback, Device, Limit, NamedTensor, NodeClock, NodeRuns, NodeTime, Timer, random_inputs};
use crate::onnx::{Graph, encode, with_node_names};
use crate::plan::{LatencyModel, LayersAt, WiderWidths, candidates, removable};
use crate::profile::{
    DeployDtype, Deployment, InModel, Layer, Multiprocessors, Prober, Profile, float_forks, in_model, layers,
    remembered_if_any, whole_key,
};
use crate::verify::{Loaded, MetricJudge};
use crate::{Error, Result};

/// Runs of the whole model whose nodes are timed.
pub(super) const RUNS: NodeRuns = NodeRuns {
    warmup: 3,
    timed: 15,
    fallback: CpuFallback::Allowed,
};

/// What a job works on and with.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub workloads: &'a [Workload],
    pub device: &'a dyn Device,
    pub options: &'a Options,
    pub reporter: &'a dyn ProgressReporter,
}

/// Until when a job goes on.
pub(super) fn limit(device: &dyn Device, options: &Options) -> Limit {
    let end = options.time_budget.and_then(|b| Instant::now().checked_add(b));
    let stop = device.stop();
    if let Some(budget) = options.time_budget {
        stop.allow(budget);
    }
    Limit::new(stop, end)
}

impl<'a> Session<'a> {
    /// Times the model as it is. With little time, at most half of it goes to timing the present widths one by one; what each
    /// layer takes within the whole model is then all that is known of the others.
    ///
    /// # Errors
    /// When a probe or a run fails, or the workloads, the recorded profile or the options do not fit.
    pub fn begin(request: Request<'a>, known: Known, data: &'a Datasets, limit: Limit) -> Result<Self> {
        let Request { device, options, .. } = request;
        let mut prober = Prober::new(device, known.database);
        prober.pruned = known.pruned;
        prober.helpers = known.helpers;
        if let Some(profile) = known.recorded {
            fits(&profile, device, options)?;
            prober.add_records(profile.records);
        }
        // First of all: what fails there should not do so after an hour.
        let metric = match (&options.metric, &data.eval) {
            (Some(metric), Some(eval)) => {
                let reporter = request.reporter;
                reporter.step(Step::RunRealInputs);
                let report = |done, runs| reporter.progress(done, runs);
                let original = encode(first(request.workloads)?.opened.original());
                let judge = MetricJudge::within(limit.clone(), metric.clone(), (device, &original), eval, &report)?;
                Some(Rc::new(judge))
            }
            _ => None,
        };
        Self::over(request, prober, (known.loaded, metric), data, limit)
    }

    /// The same with what has been timed already.
    ///
    /// # Errors
    /// As in [`Self::begin`].
    pub fn over(
        request: Request<'a>,
        prober: Prober<'a>,
        (loaded, metric): (Loaded, Option<Rc<MetricJudge<'a>>>),
        data: &'a Datasets,
        limit: Limit,
    ) -> Result<Self> {
        let Request {
            workloads,
            device,
            options,
            reporter,
        } = request;
        let opened = &first(workloads)?.opened;
        let graph = opened.graph()?;
        let analysis = &opened.analysis;
        let deployment = match options.deploy_dtype {
            Some(dtype) => Some(deployment(dtype, request, opened, data)?),
            None => None,
        };
        let mut layers_of_all: Vec<Layer> = Vec::new();
        for workload in workloads {
            let mut own = layers(&graph, &workload.opened.analysis);
            own.iter_mut().for_each(|l| l.weight = workload.weight);
            if let Some(deployment) = &deployment {
                let form =
                    |l: &mut Layer| l.problem = deployment.problem(l.problem.clone(), float_forks(&graph, l.node));
                own.iter_mut().for_each(form);
            }
            layers_of_all.extend(own);
        }
        let original = encode(opened.original());
        let removable = removable(&graph, analysis);
        let spare = |id: usize| removable.classes.get(&id).map_or(0, Vec::len);
        let wider = match device.timer().map(Timer::node_clock) {
            Some(NodeClock::Device) => WiderWidths::BlocksAndOdd,
            Some(NodeClock::Host) | None => WiderWidths::Blocks,
        };
        let mut candidates = candidates(analysis, &spare, wider);
        restrict(&mut candidates, &graph, opened, options)?;
        let mut broadcasts = analysis.broadcasts.clone();
        for workload in workloads {
            broadcasts.retain(|n| workload.opened.analysis.broadcasts.contains(n));
        }
        for node in nodes_kept(&graph, options)? {
            broadcasts.remove(&node);
        }
        let mut inputs: Vec<(Vec<NamedTensor>, f64)> = Vec::new();
        for workload in workloads {
            let random = random_inputs(&workload.opened.specs, options.seed, 1.0)?;
            inputs.push((random, workload.weight));
        }
        let mut session = Self {
            workloads,
            opened,
            costs: LatencyModel::new(&graph, analysis, &layers_of_all).captured(device.info().captures_runs()),
            graph,
            original,
            deployed_original: match &deployment {
                Some(deployment) => Some(timed(Some(deployment), opened.original())?),
                None => None,
            },
            base: match &opened.equal_to {
                Some(_) => Some(timed(deployment.as_ref(), &opened.proto)?),
                None => None,
            },
            original_ms: None,
            deployment,
            device,
            options,
            reporter,
            limit,
            searched: data.searched.as_ref(),
            eval: data.eval.as_ref(),
            metric,
            samples: data.calib.clone().map(|calib| Samples {
                left_out: data.left_out,
                ..Samples::new(calib).judged_by(&data.judged)
            }),
            judged: data.judged.clone(),
            inputs,
            removable,
            broadcasts,
            candidates,
            prober,
            loaded: RefCell::new(loaded),
        };
        session.time_present()?;
        Ok(session)
    }

    /// Times all layers at their present widths, alone and within the model.
    fn time_present(&mut self) -> Result<()> {
        let base = self.present();
        let progress = self.progress();
        let budget = self.options.time_budget.unwrap_or_default();
        let before_end = |end: Option<Instant>, left| end.and_then(|end| end.checked_sub(left));
        self.reporter.step(Step::TimeWidths);
        self.prober.deadline = before_end(self.limit.end(), budget / 2);
        let wanted = [LayersAt {
            layers: self.costs.all(),
            counts: base.clone(),
        }];
        self.costs.require(&mut self.prober, &wanted, &progress)?;
        // The rest is for the search and for measuring whole models.
        self.prober.deadline = before_end(self.limit.end(), budget * 3 / 10);
        let Some(timer) = self.device.timer() else {
            return Ok(());
        };
        let what = match timer.node_clock() {
            NodeClock::Device => "nodes and what is fixed of them",
            NodeClock::Host => "nodes",
        };
        let key = whole_key(what, &[self.timed_base()], &self.inputs, 0.0);
        let seen = remembered_if_any(&self.prober, &key, || self.times_in_model(timer))?;
        let all_known = self.costs.unknown_at(&base).is_empty();
        match seen {
            Some(seen) => {
                let alone = self.alone()?;
                self.costs.correct(&seen, &base, alone);
            }
            None if all_known => match timer.compiles_graphs() {
                true => {
                    let Alone { ms, pace, call_ms } = self.alone_at_pace(timer)?;
                    self.costs.compiled(ms, call_ms, pace, &base);
                }
                false => {
                    let alone = self.alone()?;
                    self.costs.launches_of(alone, &base);
                }
            },
            None => {}
        }
        if !self.costs.unknown_at(&base).is_empty() {
            // Layers that no plan changes were not probed, and are not seen within the model either.
            let alone = self.alone()?;
            self.costs.rest_of(alone, &base);
        }
        Ok(())
    }

    /// What the nodes of the original take. Where the session that told stays as good as any, it stays loaded.
    fn node_times(&self, timer: &dyn Timer, named: &[u8], inputs: &[NamedTensor]) -> Result<Option<Vec<NodeTime>>> {
        let mut loaded = self.loaded.borrow_mut();
        if let Some(known) = loaded.node_times(named) {
            return Ok(Some(known));
        }
        if self.inputs.len() > 1 {
            return timer.node_times(named, inputs, RUNS);
        }
        let Some(mut session) = timer.prepare_watched(named, inputs)? else {
            return timer.node_times(named, inputs, RUNS);
        };
        session.first_run()?;
        let nodes = session.node_times(RUNS)?;
        session.settle()?;
        loaded.keep(self.timed_base(), session);
        Ok(nodes)
    }

    /// What the layers of all workloads take in the model; `None` where single nodes cannot be timed.
    fn times_in_model(&self, timer: &dyn Timer) -> Result<Option<InModel>> {
        let mut all = InModel::default();
        let named = with_node_names(&self.opened.proto);
        let graph = Graph::of(&named)?;
        let model = self.timed(&named)?;
        let gpu = Multiprocessors::of(self.device.info());
        let layers = self.costs.layers();
        let each = layers.len().div_ceil(self.inputs.len()).max(1);
        for (own, (inputs, weight)) in layers.chunks(each).zip(&self.inputs) {
            let Some(nodes) = self.node_times(timer, &model, inputs)? else {
                return Ok(None);
            };
            let seen = in_model(&graph, own, &nodes, gpu.as_ref());
            all.layers.extend(seen.layers);
            all.overhead += weight * seen.overhead;
            all.fixed += weight * seen.fixed;
            all.nodes.extend(seen.nodes.into_iter().map(|n| n.weighted(*weight)));
            all.clock = timer.node_clock();
        }
        Ok(Some(all))
    }
}

/// Samples that ranges of activations are taken from.
const RANGED: usize = 128;

/// What models become before they are timed. Ranges are those of the samples, or without any of random inputs.
fn deployment(dtype: DeployDtype, request: Request, opened: &Opened, data: &Datasets) -> Result<Deployment> {
    let device = request.device;
    match data.calib.as_ref().or(data.eval.as_ref()) {
        Some(data) => {
            let count = RANGED.div_ceil(data.batch().max(1)).min(data.distinct_runs());
            let mut runs = (0..count).map(|k| data.run(k).inputs);
            Deployment::new(dtype, device, &opened.proto, &mut runs)
        }
        None => {
            let random = random_inputs(&opened.specs, request.options.seed, 1.0)?;
            Deployment::new(dtype, device, &opened.proto, &mut std::iter::once(random))
        }
    }
}

/// Whether a recorded profile may count as this device's.
fn fits(profile: &Profile, device: &dyn Device, options: &Options) -> Result<()> {
    let (there, here) = (&profile.device, device.info());
    let same = here.answers_to(&there.fingerprint) && there.stack == here.stack;
    if same || options.foreign_times == ForeignTimes::Accept {
        return Ok(());
    }
    Err(Error::ForeignProfile {
        recorded: format!("{} ({})", there.name, there.stack),
        here: format!("{} ({})", here.name, here.stack),
    })
}
