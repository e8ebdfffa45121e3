//! Weights that make up for lost channels.
//!
//! Front to back, every layer behind a change is fitted anew so that, on the inputs that the pruned network really
//! gives it, it makes what the original made (asymmetric reconstruction: Zhang et al., arXiv 1505.06798).

mod affected;
mod local;
mod solve;
mod store;
mod target;

pub use local::with_compensated;
pub use solve::{Fit, Sums};
pub use store::{drop_unread, store};
pub use target::ReconstructionTarget;

use crate::channels::{Analysis, IndexRemaps};
use crate::data::Dataset;
use crate::device::{Device, Limit};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::{LinearOp, StagedExecutor, input_rows, linear_ops, output_rows, picked, place_seed};
use crate::{Error, Result};

/// How layers are fitted.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// λ over the mean of the diagonal of the inputs' covariance; the fit is drawn towards the weights it starts from.
    pub ridge: f64,
    /// Places of every sample that are looked at.
    pub places: usize,
    /// Whether each output is scaled to the deviation that it had.
    pub match_deviation: bool,
    /// Seed of the places.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ridge: 1e-3,
            places: 64,
            match_deviation: false,
            seed: 0,
        }
    }
}

/// The original network and the change that was made to it.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The original.
    pub model: &'a ModelProto,
    /// Look-ups over it.
    pub graph: &'a Graph<'a>,
    /// Its channels.
    pub analysis: &'a Analysis,
    /// What became of every axis.
    pub remaps: &'a IndexRemaps,
}

/// A rewritten network after a fit.
#[derive(Clone, Debug)]
pub struct Reconstructed {
    /// The network.
    pub proto: ModelProto,
    /// Layers behind the change that the time did not allow to fit.
    pub left: usize,
    /// All layers behind the change.
    pub of: usize,
}

/// Fits every layer of `pruned` behind the change anew, on the given runs of the samples. What is held at a time is what
/// crosses one place of the networks, for all samples, twice. When the time is up, the layers left stay as they are.
///
/// # Errors
/// When a part of a network cannot be run.
pub fn refit(
    target: &dyn Device,
    change: Change,
    mut pruned: ModelProto,
    (data, runs): (&Dataset, std::ops::Range<usize>),
    settings: Settings,
    (limit, progress): (&Limit, &dyn Fn(usize, usize)),
) -> Result<Reconstructed> {
    let behind = affected::layers(change);
    let todo: Vec<LinearOp> = linear_ops(change.graph)
        .into_iter()
        .filter(|m| behind.contains(&m.node))
        .collect();
    let mut before = StagedExecutor::new(target, data, runs.clone())?;
    let mut after = StagedExecutor::new(target, data, runs)?;
    let aims: Vec<ReconstructionTarget> = todo
        .iter()
        .map(|m| ReconstructionTarget::of(change.graph, change.analysis, m))
        .collect();
    let mut left = 0;
    for (k, (old, aim)) in todo.iter().zip(&aims).enumerate() {
        progress(k, todo.len());
        limit.check()?;
        if limit.is_up() {
            left = todo.len() - k;
            break;
        }
        let wanted: Vec<&str> = aims[k..].iter().flat_map(ReconstructionTarget::names).collect();
        let new = {
            let graph = Graph::of(&pruned)?;
            let at = graph.producer.get(old.output.as_str()).copied();
            let Some(new) = at.and_then(|at| LinearOp::of(&graph, at)) else {
                continue;
            };
            after.advance(&pruned, &graph, new.node, &[])?;
            new
        };
        let aim = aim.within(&after);
        let until = aim.node().max(old.node) + 1;
        before.advance(change.model, change.graph, until, &wanted)?;
        let graph = Graph::of(&pruned)?;
        let Some(weights) = new.weights(&graph) else { continue };
        let bias = new.bias(&graph);
        let kept = kept_outputs(change, old);
        let mut sums = Sums::new(&new);
        for run in 0..after.runs().len() {
            let held = after.value(run, &new.input)?;
            let dims = held.dims();
            let Some(out) = new.output_dims(&dims) else { continue };
            let seed = place_seed(settings.seed, old.node, run);
            let picked = picked(&new, &out, after.samples(run), settings.places, seed);
            let wrong = || Error::Model(format!("value '{}' is not of floats", new.input));
            let mut rows = Vec::new();
            input_rows(&new, &held.floats().ok_or_else(wrong)?, &dims, &out, &picked, &mut rows);
            let goals = aim.rows(&before, &after, run, &picked, (old, &new), &kept)?;
            sums.add(&rows, &goals, target.products())?;
        }
        if sums.is_empty() {
            continue;
        }
        let fit = Fit::new(&new, &sums, (&weights, &bias), &kept, settings, aim.carries());
        // What the element type cannot hold leaves the layer as it was.
        let _stored = store(&mut pruned, &new, &fit.weights, fit.bias.as_deref())?;
    }
    progress(todo.len(), todo.len());
    drop_unread(&mut pruned, change.graph);
    Ok(Reconstructed {
        proto: pruned,
        left,
        of: todo.len(),
    })
}

/// For each output of the rewritten layer, the original's output that it is; `None` for a new one.
fn kept_outputs(change: Change, old: &LinearOp) -> Vec<Option<usize>> {
    let co = &change.analysis.dependencies;
    let edit = co
        .by_name(&old.output)
        .and_then(|id| change.remaps.get(id, old.channel_axis(co.dims(id).len())));
    edit.map_or_else(|| (0..old.outputs).map(Some).collect(), |e| e.gather())
}

/// Rows of an output value, only the kept outputs in their new order.
pub(crate) fn kept_rows(
    linear_op: &LinearOp,
    values: &[f32],
    dims: &[usize],
    picked: &[(usize, usize)],
    kept: &[Option<usize>],
) -> Vec<f32> {
    let mut all = Vec::new();
    output_rows(linear_op, values, dims, picked, &mut all);
    let width = all.len().checked_div(picked.len()).unwrap_or(0);
    let mut rows = Vec::with_capacity(picked.len() * kept.len());
    for row in all.chunks_exact(width.max(1)) {
        rows.extend(kept.iter().map(|k| k.and_then(|i| row.get(i)).copied().unwrap_or(0.0)));
    }
    rows
}
