//! One pass of the original network over the calibration samples: what every layer sees.

use std::collections::{HashMap, HashSet};

use super::mixer::Mixer;
use super::moments::Moments;
use super::patches::{input_rows, picked};
use super::walk::Walk;
use crate::Result;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::target::Limit;

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
pub fn mixers(graph: &Graph) -> Vec<Mixer> {
    (0..graph.proto.node.len())
        .filter_map(|n| Mixer::of(graph, n))
        .collect()
}

/// A seed that is the same for the same layer and run.
pub fn place_seed(seed: u64, node: usize, run: usize) -> u64 {
    seed ^ ((node as u64) << 32) ^ run as u64
}

impl Statistics {
    /// Runs the graph over all samples that `walk` holds and adds up what the layers in `wanted` see at `places`
    /// random places of every sample. `progress` is told the layers done. When the time is up, what is left is left out.
    ///
    /// # Errors
    /// When a part of the graph cannot be run.
    pub fn collect(
        walk: &mut Walk,
        (model, graph): (&ModelProto, &Graph),
        wanted: &[Mixer],
        places: usize,
        seed: u64,
        (limit, progress): (&Limit, &dyn Fn(usize, usize)),
    ) -> Result<Self> {
        let mut found = Self::default();
        let mut bytes = 0;
        for (done, mixer) in wanted.iter().enumerate() {
            progress(done, wanted.len());
            limit.check()?;
            if limit.is_up() {
                break;
            }
            walk.advance(model, graph, mixer.node, &[])?;
            let own = mixer.groups * mixer.columns().pow(2) * 8;
            let whole = mixer.columns() <= MOST_COLUMNS && bytes + own <= MOMENT_BYTES;
            bytes += if whole { own } else { 0 };
            let mut moments = if whole {
                Moments::new(mixer.groups, mixer.columns())
            } else {
                Moments::new(mixer.groups * mixer.inputs, mixer.taps)
            };
            for run in 0..walk.runs().len() {
                let held = walk.value(run, &mixer.input)?;
                let dims = held.dims();
                let Some(x) = held.floats() else { continue };
                let Some(out) = mixer.output_dims(&dims) else { continue };
                let seed = place_seed(seed, mixer.node, run);
                let picked = picked(mixer, &out, walk.samples(run), places, seed);
                let mut rows = Vec::with_capacity(picked.len() * mixer.all_columns());
                input_rows(mixer, &x, &dims, &out, &picked, &mut rows);
                moments.add(&rows, walk.target().products())?;
            }
            let list = if whole { &mut found.whole } else { &mut found.single };
            list.insert(mixer.node, moments);
        }
        progress(wanted.len(), wanted.len());
        Ok(found)
    }

    /// Whether anything is known of what a layer sees.
    pub fn knows(&self, mixer: &Mixer) -> bool {
        self.whole.contains_key(&mixer.node) || self.single.contains_key(&mixer.node)
    }
}
