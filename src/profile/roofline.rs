//! How far the nodes of a model are from what the device does at most, and what holds them there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::limits::{Limits, limits};
use super::node_work::{ElementType, FileNode, NodeWork, file_nodes};
use super::probe::Prober;
use super::remembered::{remembered_if_any, whole_key};
use super::samples::median;
use super::waves::{Multiprocessors, Waves, waves};
use crate::Result;
use crate::channels::Analysis;
use crate::device::{CpuFallback, NamedTensor, NodeClock, NodeRuns, NodeTime, Timer};
use crate::onnx::Graph;

/// Runs of the whole model: those before times count, and those whose times count.
const WARMUP: usize = 3;
const TIMED: usize = 15;

/// A node that takes at most so many times what the shortest one takes for each kernel is bound by its launch.
const LAUNCH: f64 = 2.0;
/// Fewer waves than these make a tail that counts.
const FEW_WAVES: usize = 4;
/// A tail counts where less of the waves is used.
const TAIL_USE: f64 = 0.8;
/// A device waits for its host where its kernels take less of a run.
const BUSY: f64 = 0.8;

/// What binds the time of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// What any node takes, however little it does.
    Launch,
    /// Memory.
    Memory,
    /// Arithmetic: on a GPU its tensor cores, where the type has them.
    Compute,
    /// Arithmetic, with a last wave that is hardly used.
    Tail,
    /// Not known: the node is not in the file, or its shapes or the limit of its type are not known.
    Unknown,
}

impl Bound {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Memory => "memory",
            Self::Compute => "compute",
            Self::Tail => "tail",
            Self::Unknown => "unknown",
        }
    }
}

/// The kernel of a node that took longest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MainKernel {
    /// Its (mangled) name.
    pub name: String,
    /// How it fills the device, where that is known.
    pub waves: Option<Waves>,
}

/// A node that ran, with what it costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeCost {
    /// Its name where it ran; what is fused is called after one of its parts.
    pub name: String,
    /// The node of the file that it is: of what is fused, the linear operator. `None` where it is not in the file.
    pub node: Option<String>,
    /// Its operator.
    pub op: String,
    /// Milliseconds, the median over the runs.
    pub ms: f64,
    /// Its share of the time of all nodes, 0 to 1.
    pub share: f64,
    /// How many kernels it launches, on a GPU.
    pub kernels: usize,
    /// The longest of them.
    pub main_kernel: Option<MainKernel>,
    /// Floating-point operations, where they are known.
    pub flops: Option<f64>,
    /// Bytes of its inputs, weights and outputs, where they are known.
    pub bytes: Option<f64>,
    /// What binds it.
    pub bound: Bound,
    /// Milliseconds that it takes at least, by arithmetic or memory, whichever takes longer; no more than it takes.
    pub limit_ms: Option<f64>,
    /// Those over what it takes, 0 to 1.
    pub share_of_limit: Option<f64>,
}

/// A model's times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RunTotals {
    /// A run of the model as a whole, without a profiler.
    pub run_ms: f64,
    /// All nodes: on a GPU their kernels.
    pub nodes_ms: f64,
    /// The limits of all nodes that have one.
    pub limits_ms: f64,
    /// The time of the nodes that have none.
    pub unknown_ms: f64,
    /// Whether a GPU waits for its host: kernels take less than 0.8 of the run.
    pub host_bound: bool,
}

/// The nodes of a model as they run, held against the limits of the device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Roofline {
    /// What the times of the nodes are.
    pub clock: NodeClock,
    /// The limits.
    pub limits: Limits,
    /// The nodes, the longest first.
    pub nodes: Vec<NodeCost>,
    /// All together.
    pub totals: RunTotals,
}

/// A model that is timed as a whole.
#[derive(Clone, Copy, Debug)]
pub struct WholeModel<'m> {
    /// Its graph.
    pub graph: &'m Graph<'m>,
    /// Its channels and shapes.
    pub analysis: &'m Analysis,
    /// Its file.
    pub bytes: &'m [u8],
}

/// What was measured of a model.
#[derive(Debug, Serialize, Deserialize)]
struct MeasuredRun {
    run_ms: f64,
    nodes: Vec<NodeTime>,
}

/// Times the nodes of a model and holds them against the limits of the device; what the prober's database remembers is not measured
/// again. `None` where the device is not here or does not time single nodes.
///
/// # Errors
/// When a run fails or the database cannot be used.
pub fn roofline(prober: &Prober, model: WholeModel, inputs: &[NamedTensor]) -> Result<Option<Roofline>> {
    let Some(timer) = prober.device().timer() else {
        return Ok(None);
    };
    // 2: since what runs in bodies belongs to the node that has them.
    let key = whole_key("roofline 2", &[model.bytes], &[(inputs.to_vec(), 1.0)], 0.0);
    let measured = remembered_if_any(prober, &key, || measure(timer, model.bytes, inputs))?;
    let Some(MeasuredRun { run_ms, nodes }) = measured else {
        return Ok(None);
    };
    let in_file = file_nodes(model.graph, model.analysis, &nodes);
    let work = in_file.iter().filter_map(|n| n.work);
    let mut types: BTreeSet<ElementType> = work.map(|w| w.element).collect();
    types.insert(ElementType::F32);
    let Some(limits) = limits(prober, timer, &types)? else {
        return Ok(None);
    };
    let device = Multiprocessors::of(prober.device().info());
    Ok(Some(Roofline::new(
        timer.node_clock(),
        limits,
        nodes.iter().zip(in_file),
        run_ms,
        device.as_ref(),
    )))
}

fn measure(timer: &dyn Timer, model: &[u8], inputs: &[NamedTensor]) -> Result<Option<MeasuredRun>> {
    let runs = NodeRuns {
        warmup: WARMUP,
        timed: TIMED,
        fallback: CpuFallback::Allowed,
    };
    let Some(nodes) = timer.node_times(model, inputs, runs)? else {
        return Ok(None);
    };
    let mut session = timer.load(model, inputs, CpuFallback::Allowed)?;
    let mut times = (0..WARMUP + TIMED)
        .map(|_| session.run())
        .collect::<Result<Vec<f64>>>()?;
    let run_ms = median(&times.split_off(WARMUP));
    Ok(Some(MeasuredRun { run_ms, nodes }))
}

impl NodeCost {
    /// Its name for people: the file's, where it is in the file.
    pub fn label(&self) -> &str {
        self.node.as_deref().unwrap_or(&self.name)
    }
}

impl Roofline {
    /// From nodes with what they compute.
    fn new<'n>(
        clock: NodeClock,
        limits: Limits,
        ran: impl Iterator<Item = (&'n NodeTime, FileNode)>,
        run_ms: f64,
        device: Option<&Multiprocessors>,
    ) -> Self {
        let mut nodes: Vec<NodeCost> = ran.map(|(node, file)| cost(node, file, &limits, device)).collect();
        let nodes_ms: f64 = nodes.iter().map(|n| n.ms).sum();
        for node in &mut nodes {
            node.share = node.ms / nodes_ms.max(f64::MIN_POSITIVE);
        }
        nodes.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        let without = nodes.iter().filter(|n| n.limit_ms.is_none());
        let totals = RunTotals {
            run_ms,
            nodes_ms,
            limits_ms: nodes.iter().filter_map(|n| n.limit_ms).sum(),
            unknown_ms: without.map(|n| n.ms).sum(),
            host_bound: clock == NodeClock::Device && nodes_ms < BUSY * run_ms,
        };
        Self {
            clock,
            limits,
            nodes,
            totals,
        }
    }
}

/// A node against the limits; its share of all is not known yet.
fn cost(node: &NodeTime, file: FileNode, limits: &Limits, device: Option<&Multiprocessors>) -> NodeCost {
    let work = file.work;
    let ms = median(&node.samples);
    let kernels: Vec<_> = node.kernels.iter().filter(|k| k.has_grid()).collect();
    let main_kernel = kernels.iter().max_by_key(|k| k.ns).map(|k| MainKernel {
        name: k.name.clone(),
        waves: device.map(|d| waves(k, d)),
    });
    let least = work.and_then(|w| Least::of(&w, limits)).filter(|_| ms > 0.0);
    let tail = main_kernel.as_ref().and_then(|k| k.waves);
    let limit_ms = least.map(|l| l.compute_ms.max(l.memory_ms).min(ms));
    NodeCost {
        name: node.name.clone(),
        node: file.name,
        op: node.op.clone(),
        ms,
        share: 0.0,
        kernels: kernels.len(),
        bound: match least {
            Some(least) => bound(ms / kernels.len().max(1) as f64, least, limits.least_ms, tail),
            None => Bound::Unknown,
        },
        main_kernel,
        flops: work.map(|w| w.flops),
        bytes: work.map(|w| w.bytes),
        limit_ms,
        share_of_limit: limit_ms.map(|l| l / ms),
    }
}

/// Milliseconds that a node takes at least.
#[derive(Clone, Copy, Debug)]
struct Least {
    compute_ms: f64,
    memory_ms: f64,
}

impl Least {
    /// operations / peak of the type, bytes / bandwidth; `None` for a type without a limit.
    fn of(work: &NodeWork, limits: &Limits) -> Option<Self> {
        Some(Self {
            compute_ms: work.flops / limits.flops_per_ms.get(&work.element)?,
            memory_ms: work.bytes / limits.bytes_per_ms,
        })
    }
}

/// What binds a node that takes `kernel_ms` for each of its kernels, where the shortest node takes `shortest_ms`.
fn bound(kernel_ms: f64, least: Least, shortest_ms: f64, waves: Option<Waves>) -> Bound {
    let tail = waves.is_some_and(|w| w.waves < FEW_WAVES && w.tail_use < TAIL_USE);
    match least.memory_ms > least.compute_ms {
        _ if kernel_ms <= LAUNCH * shortest_ms => Bound::Launch,
        true => Bound::Memory,
        false if tail => Bound::Tail,
        false => Bound::Compute,
    }
}

#[cfg(test)]
#[path = "roofline/tests.rs"]
mod tests;
