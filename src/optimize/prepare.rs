//! What every job does first: reads the data, times the model as it is, and works out what may change.

use std::collections::BTreeSet;

use super::datasets::Datasets;
use super::{
    ALONE_SECONDS, Growth, Known, Opened, Options, ProgressReporter, Samples, Workload, counts, lossy, racing,
    remembered, whole_key,
};
use crate::channels::Group;
use crate::data::Dataset;
use crate::device::{Device, Limit, Named, random_inputs};
use crate::onnx::{Graph, encode, label};
use crate::plan::{Candidates, Costs, Plan, Removable, candidates, removable};
use crate::profile::{InModel, Layer, Prober, in_model};
use crate::verify::benchmark_workloads;
use crate::{Error, Result};

/// What a job has found out before it plans: the machine's times at the present widths, and what may change.
pub(super) struct Prepared<'a, 't> {
    pub workloads: &'a [Workload],
    pub opened: &'a Opened,
    pub graph: &'a Graph<'a>,
    pub device: &'t dyn Device,
    pub removable: Removable,
    pub candidates: Candidates,
    pub inputs: Vec<(Vec<Named>, f64)>,
    pub original: Vec<u8>,
    pub eval: Option<Dataset>,
    pub calib: Option<Dataset>,
    pub options: &'a Options,
    pub reporter: &'a dyn ProgressReporter,
    pub limit: &'a Limit,
}

/// Times the model as it is, and hands over to `then`. With little time, at most half of it goes to timing the present
/// widths one by one; what each layer takes within the whole model is then all that is known of the others.
pub(super) fn prepared<R>(
    (workloads, device): (&[Workload], &dyn Device),
    (known, data): (Known, &Datasets),
    options: &Options,
    (reporter, limit): (&dyn ProgressReporter, &Limit),
    then: impl FnOnce(Prepared, &mut Costs, &mut Prober) -> Result<R>,
) -> Result<R> {
    let opened = &first(workloads)?.opened;
    let graph = opened.graph()?;
    let analysis = &opened.analysis;
    let mut layers: Vec<Layer> = Vec::new();
    for workload in workloads {
        let mut own = crate::profile::layers(&graph, &workload.opened.analysis);
        own.iter_mut().for_each(|l| l.weight = workload.weight);
        layers.extend(own);
    }
    let mut prober = Prober::new(device, known.database);
    prober.pruned = known.pruned;
    if let Some(profile) = known.recorded {
        let same = device.info().answers_to(&profile.device.fingerprint) && profile.device.stack == device.info().stack;
        if !same && !options.allow_mismatch {
            return Err(Error::Usage(format!(
                "the profile was recorded on {} ({}), this is {} ({}); record one here with `snapprune profile`, \
                 or take its times all the same with --allow-mismatch",
                profile.device.name,
                profile.device.stack,
                device.info().name,
                device.info().stack
            )));
        }
        prober.learn(profile.records);
    }
    let removable = removable(&graph, analysis);
    let spare = |id: usize| removable.classes.get(&id).map_or(0, Vec::len);
    let mut candidates = candidates(analysis, &spare);
    restrict(&mut candidates, &graph, opened, options)?;
    let mut costs = Costs::new(analysis, &layers);
    let mut inputs: Vec<(Vec<Named>, f64)> = Vec::new();
    for workload in workloads {
        inputs.push((
            random_inputs(&workload.opened.specs, options.seed, 1.0)?,
            workload.weight,
        ));
    }
    let original = encode(&opened.proto);
    let base = counts(analysis, &Plan::default());
    reporter.step("timing widths");
    prober.deadline = limit
        .end()
        .and_then(|end| end.checked_sub(options.time_budget.unwrap_or_default() / 2));
    costs.require(&mut prober, &[(costs.all(), base.clone())], &|done, total| {
        reporter.progress(done, total)
    })?;
    // The rest is for the search and for measuring whole models.
    prober.deadline = limit
        .end()
        .and_then(|end| end.checked_sub(options.time_budget.unwrap_or_default() * 3 / 10));
    if device.is_here() {
        let alone = |prober: &Prober| {
            let seconds = racing(limit, ALONE_SECONDS);
            let key = whole_key("alone", &[&original], &inputs, seconds);
            remembered(prober, &key, || {
                let alone = benchmark_workloads(device, &[&original], &inputs, seconds, &|_, _| {})?;
                Ok(alone.first().map_or(0.0, |l| l.summary().median))
            })
        };
        let key = whole_key("nodes", &[&original], &inputs, 0.0);
        let seen = remembered(&prober, &key, || in_loads(device, &original, &inputs, &graph, &layers))?;
        if let Some(seen) = seen {
            costs.correct(&seen, &base, alone(&prober)?);
        }
        if !costs.unknown_at(&base).is_empty() {
            // Layers that no plan changes were not probed, and are not seen within the model either.
            costs.rest_of(alone(&prober)?, &base);
        }
    }
    let prepared = Prepared {
        workloads,
        opened,
        graph: &graph,
        device,
        removable,
        candidates,
        inputs,
        original,
        eval: data.eval.clone(),
        calib: data.calib.clone(),
        options,
        reporter,
        limit,
    };
    then(prepared, &mut costs, &mut prober)
}

impl<'a, 't> Prepared<'a, 't> {
    /// For plans that lose something.
    pub(super) fn narrowing(self) -> Result<lossy::Narrowing<'a, 't>> {
        if !self.device.is_here() {
            return Err(Error::Usage(format!(
                "{} is not here; goals need a device to measure on: leave out --profile, or the goals",
                self.device.info().name
            )));
        }
        Ok(self.narrowing_of())
    }

    /// The same, also where nothing can be measured.
    pub(super) fn narrowing_of(self) -> lossy::Narrowing<'a, 't> {
        lossy::Narrowing {
            workloads: self.workloads,
            opened: self.opened,
            graph: self.graph,
            device: self.device,
            original: self.original,
            inputs: self.inputs,
            removable: self.removable,
            growth: self.candidates,
            options: self.options,
            samples: self.calib.map(Samples::new),
            eval: self.eval,
            reporter: self.reporter,
            limit: self.limit,
        }
    }
}

/// The groups that the user wants as they are.
/// What is not worked on stays too.
pub(super) fn kept(graph: &Graph, opened: &Opened, options: &Options) -> Result<BTreeSet<usize>> {
    let node = |name: &String| {
        let at = (0..graph.proto.node.len()).find(|&n| label(&graph.proto.node[n], n) == *name);
        at.ok_or_else(|| {
            Error::Usage(format!(
                "--keep {name}: the model has no such node; `snapprune inspect` lists the layers"
            ))
        })
    };
    let named: Vec<usize> = options.keep.iter().map(node).collect::<Result<_>>()?;
    let makes = |g: &&Group| g.producers.iter().any(|n| named.contains(n));
    let kept = opened.analysis.groups.iter().filter(makes).map(|g| g.id);
    Ok(kept.chain(opened.held.keys().copied()).collect())
}

/// Takes out the candidates that the user does not want.
fn restrict(candidates: &mut Candidates, graph: &Graph, opened: &Opened, options: &Options) -> Result<()> {
    let (kept, analysis) = (kept(graph, opened, options)?, &opened.analysis);
    candidates.retain(|g, _| !kept.contains(g));
    if options.growth == Growth::None {
        for (&g, counts) in candidates.iter_mut() {
            counts.retain(|&n| n <= analysis.groups[g].classes.len());
        }
        candidates.retain(|_, counts| counts.len() > 1);
    }
    Ok(())
}

/// The first workload, on whose groups all others must agree.
fn first(workloads: &[Workload]) -> Result<&Workload> {
    let first = workloads
        .first()
        .ok_or_else(|| Error::Usage("no input shapes are given".to_owned()))?;
    let alike = |a: &Group, b: &Group| {
        let shape = |g: &Group| (g.classes.len(), g.unit, g.constraint.is_none(), g.can_grow());
        shape(a) == shape(b) && a.producers == b.producers && a.consumers == b.consumers
    };
    let same = |l: &Workload| {
        let (own, overhead) = (&l.opened.analysis.groups, &first.opened.analysis.groups);
        own.len() == overhead.len() && own.iter().zip(overhead).all(|(a, b)| alike(a, b))
    };
    if !workloads.iter().all(same) {
        return Err(Error::Model(
            "the channels hang together in other ways at the other shapes; optimize for one of them at a time"
                .to_owned(),
        ));
    }
    Ok(first)
}

/// What the layers of all workloads took in the model; `None` where single nodes cannot be timed.
fn in_loads(
    device: &dyn Device,
    model: &[u8],
    workloads: &[(Vec<Named>, f64)],
    graph: &Graph,
    layers: &[Layer],
) -> Result<Option<InModel>> {
    let mut all = InModel::default();
    for (own, (inputs, weight)) in layers
        .chunks(layers.len().div_ceil(workloads.len()).max(1))
        .zip(workloads)
    {
        let Some(nodes) = device.node_times(model, inputs, 3, 15)? else {
            return Ok(None);
        };
        let seen = in_model(graph, own, &nodes);
        all.layers.extend(seen.layers);
        all.overhead += weight * seen.overhead;
    }
    Ok(Some(all))
}
