//! Models that equal the original and are better to plan from: trunks rotated, layers as two.

use std::cell::OnceCell;

use super::fitting::Calibrated;
use super::input::related;
use super::opened::{EqualTo, Opened};
use super::options::Allowed;
use super::reporter::{ProgressReporter, Step};
use super::samples::JUDGES;
use super::workload::Workload;
use crate::Result;
use crate::device::{Device, Limit};
use crate::onnx::{Graph, encode};
use crate::ops::LinearOp;
use crate::plan::{Pair, Reparametrization};
use crate::reparametrize::{
    Basis, Covariances, Trunk, Watched, break_even, factorable, is_held_by_type, rotate, trunk, with_pairs,
};
use crate::score::{StagedExecutor, Watch};
use crate::verify::compare;

/// Places of every sample that values are looked at.
const PLACES: usize = 48;
/// A layer may stand as two where all but this share of its output's variance takes at most so much of the directions at which two
/// layers take as many multiply-accumulates as one.
const LEFT: f64 = 0.01;
const CLEARLY: f64 = 0.75;
/// Random inputs that outputs are compared on.
const TRIES: usize = 3;

/// Where equal models stay for a job: that with all moves that may pay, and that with those that a plan makes use of.
#[derive(Debug, Default)]
pub struct EqualModels {
    pub(super) all: OnceCell<Vec<Workload>>,
    pub(super) used: OnceCell<Vec<Workload>>,
}

/// What is known of values of the original.
#[derive(Debug)]
pub struct Directions {
    covariances: Covariances,
}

impl Directions {
    /// Looks at the values of all trunks and of all layers that may stand as two, on the samples that are fitted on; and tells which
    /// moves are worth a try. Nodes in `kept` and what they make stay as they are.
    ///
    /// # Errors
    /// When the model cannot be run in parts.
    pub fn look(
        opened: &Opened,
        on: Calibrated,
        allowed: Allowed,
        kept: &[usize],
        reporter: &dyn ProgressReporter,
        limit: &Limit,
    ) -> Result<(Self, Reparametrization)> {
        let (graph, model) = (opened.graph()?, &opened.proto);
        let trunks = trunks(opened, &graph, kept);
        let layers = layers(&graph, &trunks, kept);
        let mut wanted: Vec<Watched> = Vec::new();
        let mut watch = |name: &str, layer: &LinearOp| {
            if let Some(&made_by) = graph.producer.get(name) {
                wanted.push(Watched {
                    name: name.to_owned(),
                    made_by,
                    layer: layer.clone(),
                });
            }
        };
        if allowed.rotation {
            for t in &trunks {
                t.read(&graph).iter().for_each(|(name, _)| watch(name, &t.consumers[0]));
            }
        }
        if allowed.rank {
            layers.iter().for_each(|l| watch(&l.output, l));
        }
        reporter.step(Step::Calibrate);
        let mut executor = StagedExecutor::new(on.device, &on.samples.data, on.samples.ranked_on(JUDGES))?;
        let watch = Watch {
            limit,
            progress: &|done, total| reporter.progress(done, total),
        };
        let covariances = Covariances::collect(&mut executor, (model, &graph), wanted, PLACES, on.seed, watch)?;
        let mut moves = Reparametrization {
            seed: on.seed,
            ..Reparametrization::default()
        };
        if allowed.rotation {
            let known = trunks.iter().filter(|t| t.basis(&graph, &covariances).is_some());
            moves.rotated = known.map(|t| t.consumers[0].input.clone()).collect();
        }
        let pays = |l: &&LinearOp| {
            let spectrum = covariances.of(&l.output).and_then(Basis::principal);
            spectrum.is_some_and(|b| b.rank(LEFT) as f64 <= CLEARLY * break_even(l))
        };
        if allowed.rank {
            moves.pairs = layers.iter().filter(pays).map(|l| Pair::of(&graph, l)).collect();
        }
        Ok((Self { covariances }, moves))
    }

    /// The model with some moves: equal to the original up to rounding.
    ///
    /// # Errors
    /// When a layer may not stand as two, or the graph cannot be followed.
    pub fn model(&self, opened: &Opened, moves: &Reparametrization) -> Result<Opened> {
        let graph = opened.graph()?;
        let made = |p: &Pair| graph.producer.get(p.output.as_str()).copied();
        let nodes: Vec<usize> = moves.pairs.iter().filter_map(made).collect();
        let (proto, pairs) = match nodes.is_empty() {
            true => (opened.proto.clone(), Vec::new()),
            false => with_pairs(&opened.proto, &nodes)?,
        };
        let (mut shapes, mut covariances) = (opened.shapes.clone(), self.covariances.clone());
        for pair in &pairs {
            if let Some(dims) = shapes.dims.get(&pair.output).cloned() {
                shapes.dims.insert(pair.inner.clone(), dims);
            }
            let dynamic: Vec<usize> = shapes
                .dynamic
                .iter()
                .filter(|(n, _)| *n == pair.output)
                .map(|d| d.1)
                .collect();
            shapes
                .dynamic
                .extend(dynamic.into_iter().map(|axis| (pair.inner.clone(), axis)));
            covariances.same(&pair.inner, &pair.output);
        }
        let mut equal = related(opened.model.clone(), proto, opened.specs.clone(), shapes.clone())?;
        let mut rotated = Vec::new();
        {
            let mut proto = equal.proto.clone();
            let graph = equal.graph()?;
            for t in trunks(&equal, &graph, &[]) {
                let named = |n: &String| t.consumers.iter().any(|c| c.input == *n);
                let inner = pairs.iter().any(|p| named(&p.inner));
                if !inner && !moves.rotated.iter().any(named) {
                    continue;
                }
                let Some(basis) = t.basis(&graph, &covariances) else {
                    continue;
                };
                if rotate(&mut proto, &t, &basis)? && !inner {
                    rotated.push(t.consumers[0].input.clone());
                }
            }
            drop(graph);
            // Layers and normalizations have got constants of their own.
            equal = related(opened.model.clone(), proto, opened.specs.clone(), shapes)?;
        }
        equal.counted = opened.counted;
        equal.notes = opened.notes.clone();
        equal.equal_to = Some(EqualTo {
            original: opened.proto.clone(),
            moves: Reparametrization {
                rotated,
                pairs,
                seed: moves.seed,
                samples: None,
            },
        });
        Ok(equal)
    }

    /// The same for a model at several shapes.
    ///
    /// # Errors
    /// As in [`Self::model`].
    pub fn models(&self, workloads: &[Workload], moves: &Reparametrization) -> Result<Vec<Workload>> {
        let mut found = Vec::new();
        for workload in workloads {
            found.push(Workload {
                opened: self.model(&workload.opened, moves)?,
                weight: workload.weight,
            });
        }
        Ok(found)
    }
}

/// Whether the outputs of models differ by no more than rounding.
///
/// # Errors
/// When a run fails.
pub(super) fn are_equal(originals: &[Workload], others: &[Workload], device: &dyn Device, seed: u64) -> Result<bool> {
    for (original, other) in originals.iter().zip(others) {
        let (before, after) = (encode(&original.opened.proto), encode(&other.opened.proto));
        if !compare(device, &before, &after, &other.opened.specs, seed, TRIES)?.holds() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the user should know of trunks that stay as they are only because of the type of their weights; `None` where there are none.
///
/// # Errors
/// When the graph cannot be followed.
pub(super) fn unrotated(opened: &Opened) -> Result<Option<String>> {
    let graph = opened.graph()?;
    let free = opened.analysis.groups.iter().filter(|g| opened.is_free(g));
    let held: Vec<&str> = free
        .filter(|g| is_held_by_type(&graph, &opened.analysis, g))
        .filter_map(|g| g.producers.first().map(|&n| graph.proto.node[n].name()))
        .collect();
    Ok(held.first().map(|first| {
        format!(
            "{} linear trunks (the first made by '{first}') are not rotated, as their weights are not float32: in a float32 model goals might \
             lose less",
            held.len()
        )
    }))
}

/// The trunks of groups that are free, without those that a kept node makes.
fn trunks(opened: &Opened, graph: &Graph, kept: &[usize]) -> Vec<Trunk> {
    let free = opened.analysis.groups.iter().filter(|g| {
        opened.is_free(g) && !opened.never_lossy.contains_key(&g.id) && !g.producers.iter().any(|n| kept.contains(n))
    });
    free.filter_map(|g| trunk(graph, &opened.analysis, g)).collect()
}

/// The layers that may stand as two; what a trunk's layers make has its directions already.
fn layers(graph: &Graph, trunks: &[Trunk], kept: &[usize]) -> Vec<LinearOp> {
    let of_trunk = |n: usize| trunks.iter().any(|t| t.producers.iter().any(|p| p.layer.node == n));
    let nodes = (0..graph.proto.node.len()).filter(|n| !of_trunk(*n) && !kept.contains(n));
    nodes.filter_map(|n| factorable(graph, n)).collect()
}
