//! One pass of the original network over the calibration samples: what every layer sees.

use std::collections::{HashMap, HashSet};

use super::moments::Moments;
use super::patches::picked;
use super::staged_executor::StagedExecutor;
use super::watch::Watch;
use crate::Result;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::ops::LinearOp;

/// Layers with more columns than this are judged without the correlation of their inputs.
pub const MOST_COLUMNS: usize = 6144;
/// Bytes that all moments may take; past that, layers are judged without correlation.
pub const MOMENT_BYTES: usize = 3 << 30;

/// Moments of the inputs of layers, by node.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Whole covariances, one a group of the layer.
    pub whole: HashMap<usize, Moments>,
    /// Covariances of single channels, where the whole is too large.
    pub single: HashMap<usize, Moments>,
    /// Layers of whose inputs nothing can be guessed.
    pub blind: HashSet<usize>,
}

/// Every layer of a graph that mixes channels, in graph order.
pub fn linear_ops(graph: &Graph) -> Vec<LinearOp> {
    (0..graph.proto.node.len())
        .filter_map(|n| LinearOp::of(graph, n))
        .collect()
}

/// A seed that is the same for the same layer and run.
pub fn place_seed(seed: u64, node: usize, run: usize) -> u64 {
    seed ^ ((node as u64) << 32) ^ run as u64
}

impl Statistics {
    /// Runs the graph over all samples that `executor` holds and adds up what the layers in `wanted` see at `places`
    /// random places of every sample. `progress` is told the layers done. When the time is up, what is left is left out.
    ///
    /// # Errors
    /// When a part of the graph cannot be run.
    pub fn collect(
        executor: &mut StagedExecutor,
        model: &ModelProto,
        graph: &Graph,
        wanted: &[LinearOp],
        places: usize,
        seed: u64,
        watch: Watch,
    ) -> Result<Self> {
        let Watch { limit, progress } = watch;
        let mut found = Self::default();
        let mut bytes = 0;
        for (done, linear_op) in wanted.iter().enumerate() {
            progress(done, wanted.len());
            limit.check()?;
            if limit.is_up() {
                break;
            }
            executor.advance(model, graph, linear_op.node, &[])?;
            let own = linear_op.groups() * linear_op.columns().pow(2) * 8;
            let whole = linear_op.columns() <= MOST_COLUMNS && bytes + own <= MOMENT_BYTES;
            bytes += if whole { own } else { 0 };
            let mut moments = if whole {
                Moments::new(linear_op.groups(), linear_op.columns())
            } else {
                Moments::new(linear_op.input_channels(), linear_op.taps)
            };
            for run in 0..executor.runs().len() {
                let held = executor.value(run, &linear_op.input)?;
                let Some(out) = linear_op.output_dims(&held.dims()).filter(|_| held.is_float()) else {
                    continue;
                };
                let seed = place_seed(seed, linear_op.node, run);
                let picked = picked(linear_op, &out, executor.samples(run), places, seed);
                let mut rows = Vec::with_capacity(picked.len() * linear_op.all_columns());
                executor.input_rows(run, &linear_op.input, (linear_op, &out), &picked, &mut rows)?;
                moments.add(&rows, executor.device().products())?;
            }
            let list = if whole { &mut found.whole } else { &mut found.single };
            list.insert(linear_op.node, moments);
        }
        progress(wanted.len(), wanted.len());
        Ok(found)
    }

    /// Whether anything is known of what a layer sees.
    pub fn knows(&self, linear_op: &LinearOp) -> bool {
        self.whole.contains_key(&linear_op.node) || self.single.contains_key(&linear_op.node)
    }
}
