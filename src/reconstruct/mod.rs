//! Weights that make up for lost channels.
//!
//! Front to back, every layer behind a change is fitted anew so that, on the inputs that the pruned network really
//! gives it, it makes what the original made (asymmetric reconstruction: Zhang et al., arXiv 1505.06798).

mod activation;
mod activation_scales;
mod affected;
mod aims;
mod change;
mod flat;
mod gone;
mod heard;
mod local;
mod outputs;
mod quantized;
mod refine;
mod shares;
mod solve;
mod store;
mod target;
mod through;

pub use activation_scales::{CalibrationMethod, Rescaled, rescaled};
pub use change::{Change, FitSamples, Settings};
pub use local::with_compensated;
pub use shares::{SharesFitted, fit_shares};
pub use solve::{Fit, Present, Sums};
pub use store::{drop_unread, store};
pub use target::ReconstructionTarget;
use through::{Kept, fit_through};

use aims::Places;
use gone::Gone;
use heard::Heard;
use refine::missed;

use std::ops::Range;

use crate::Result;
use crate::device::Device;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::ops::LinearOp;
use crate::score::{StagedExecutor, Until, Watch, crossing_bytes, linear_ops, picked, place_seed};

/// A rewritten network after a fit.
#[derive(Clone, Debug)]
pub struct Reconstructed {
    /// The network.
    pub proto: ModelProto,
    /// Layers behind the change that the time did not allow to fit.
    pub left: usize,
    /// Layers whose fitted weights did worse on the samples that judge than those before, which they keep.
    pub not_better: usize,
    /// All layers behind the change.
    pub of: usize,
}

/// Bytes of places that are held for one layer, at most; weights are refined on those.
const MOST_BYTES: usize = 1 << 30;
/// Places whose products are taken together, where runs have fewer.
const AT_A_TIME: usize = 2048;

/// Fits every layer of `pruned` behind the change anew, on the given runs of the samples; those that judge say whether a layer makes
/// its target better than before. What is kept at a time is what
/// crosses one place of the networks, for all samples, twice. When the time is up, the layers left stay as they are.
///
/// # Errors
/// When a part of a network cannot be run.
pub fn reconstruct(
    device: &dyn Device,
    change: Change,
    pruned: ModelProto,
    on: FitSamples,
    settings: Settings,
    watch: Watch,
) -> Result<Reconstructed> {
    let runs = on.runs.start..on.runs.end.max(on.judge.end);
    let each = 2 * crossing_bytes(change.graph, change.analysis, on.data.declared());
    let before = StagedExecutor::new(device, on.data, runs.clone())?.staying(each);
    let after = StagedExecutor::new(device, on.data, runs)?.staying(each);
    fit([before, after], change, pruned, on.runs.len(), settings, watch)
}

/// The same where the original has been run as far as both networks are the same, at most up to the first layer that is fitted (the start of
/// [`fitted_nodes`]), on the runs to fit on; no other runs judge.
///
/// # Errors
/// When a part of a network cannot be run.
pub fn reconstruct_from(
    start: &StagedExecutor,
    change: Change,
    pruned: ModelProto,
    settings: Settings,
    watch: Watch,
) -> Result<Reconstructed> {
    let at = same_place(change.graph, &Graph::of(&pruned)?, start.at());
    let both = [start.of_another(start.at()), start.of_another(at)];
    fit(both, change, pruned, start.runs().len(), settings, watch)
}

/// The node of `other`, a rewritten graph, that comes where node `at` of the original does, or the next one that stays.
pub fn same_place(graph: &Graph, other: &Graph, at: usize) -> usize {
    let behind = graph.proto.node.iter().skip(at).flat_map(|n| &n.output);
    let mut there = behind.filter_map(|o| other.producer.get(o.as_str()));
    there.next().copied().unwrap_or(other.proto.node.len())
}

/// The nodes of the original from the first layer that is fitted to the last one; `None` where there is none.
///
/// # Errors
/// When the rewritten network has no graph.
pub fn fitted_nodes(change: Change, pruned: &ModelProto, settings: Settings) -> Result<Option<Range<usize>>> {
    let (todo, _) = todo(change, pruned, settings)?;
    let ends = todo.first().zip(todo.last());
    Ok(ends.map(|(first, last)| first.node..last.node + 1))
}

/// Fits from where both networks stand on, on the first `fitted_on` of their runs.
fn fit(
    [mut before, mut after]: [StagedExecutor; 2],
    change: Change,
    mut pruned: ModelProto,
    fitted_on: usize,
    settings: Settings,
    watch: Watch,
) -> Result<Reconstructed> {
    let (device, Watch { limit, progress }) = (before.device(), watch);
    let (todo, targets) = todo(change, &pruned, settings)?;
    let (mut left, mut not_better) = (0, 0);
    for (k, (old, target)) in todo.iter().zip(&targets).enumerate() {
        progress(k, todo.len());
        limit.check()?;
        if limit.is_up() {
            left = todo.len() - k;
            break;
        }
        let wanted: Vec<&str> = targets[k..].iter().flat_map(ReconstructionTarget::names).collect();
        let graph = Graph::of(&pruned)?;
        let at = graph.producer.get(old.output.as_str()).copied();
        let Some(new) = at.and_then(|at| LinearOp::of(&graph, at)) else {
            continue;
        };
        let there = Until {
            model: &pruned,
            graph: &graph,
            node: new.node,
            also: &[],
        };
        let here = Until {
            model: change.model,
            graph: change.graph,
            node: target.node_within(&graph, new.node).max(old.node) + 1,
            also: &wanted,
        };
        StagedExecutor::advance_both((&mut after, there), (&mut before, here))?;
        let target = target.within(&after);
        let Some(whole) = new.weights(&graph) else { continue };
        // Where channels are cut none is left without weights to tell; masks leave many.
        let heard = match change.masks() {
            true => Heard::of(&after, &new),
            false => Heard::all(&new),
        };
        let weights = heard.cut(whole.clone());
        let read = &heard.layer;
        let bias = new.bias(&graph);
        let kept = kept_outputs(change, old);
        let (mut sums, mut judging) = (Sums::new(read), Sums::new(read));
        let choice = target.leaves_choice() && settings.steps > 0;
        let (mut fitting, mut others, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut through = match choice || target.carries() {
            true => None,
            false => activation::behind(change.graph, &old.output).map(|f| (f, Kept::default(), Kept::default())),
        };
        // Those that judge are fewer, and looked at in more places.
        let last = after.runs().len();
        let places = [0..fitted_on.min(last), fitted_on.min(last)..last].map(|runs| {
            let samples = runs.map(|run| after.samples(run)).sum();
            settings.places_for(read.columns() + 1, samples)
        });
        let mut seen = [Places::default(), Places::default()];
        let last = after.runs().len().saturating_sub(1);
        for run in 0..after.runs().len() {
            let fits = run < fitted_on;
            let dims = after.value(run, &new.input)?.dims();
            if let Some(out) = new.output_dims(&dims) {
                let seed = place_seed(settings.seed, old.node, run);
                let picked = picked(&new, &out, after.samples(run), places[usize::from(!fits)], seed);
                let into = &mut seen[usize::from(!fits)];
                let mut rows = Vec::new();
                after.input_rows(run, &new.input, (&new, &out), &picked, &mut rows)?;
                into.inputs.extend(heard.cut(rows));
                into.aims
                    .extend(target.aims(&before, &after, run, &picked, (old, &new), &kept)?);
            }
            for (k, of) in seen.iter_mut().enumerate() {
                if of.inputs.is_empty() || (run < last && of.inputs.len() < AT_A_TIME * read.all_columns()) {
                    continue;
                }
                let of = std::mem::take(of);
                let into = if k == 0 { &mut sums } else { &mut judging };
                into.add(&of.inputs, &of.aims.values, device.products())?;
                let keeps = through
                    .as_mut()
                    .is_some_and(|(_, a, b)| if k == 0 { a } else { b }.add(&of.inputs, &of.aims.values));
                through = through.filter(|_| keeps);
                if choice && bytes < MOST_BYTES {
                    bytes += (of.inputs.len() + 3 * of.aims.values.len()) * size_of::<f32>();
                    if k == 0 { &mut fitting } else { &mut others }.push(of);
                }
            }
        }
        if sums.is_empty() {
            continue;
        }
        let present = Present {
            weights: &weights,
            bias: &bias,
            kept: &kept,
        };
        let settings = Settings {
            // An output that carries another's error keeps its scale.
            match_deviation: settings.match_deviation && !target.carries(),
            ..settings
        };
        let plain = Fit::new(read, &sums, present, settings);
        let better = match &through {
            Some((f, on, others)) if !judging.is_empty() => {
                let kept = (on, others);
                fit_through(
                    (read, f),
                    &mut sums,
                    kept,
                    (plain, present),
                    settings,
                    device.products(),
                )?
            }
            // Where none is left to judge by what serves, the plain fit is judged by what it makes.
            _ if fitting.is_empty() || others.is_empty() != judging.is_empty() => {
                plain.is_better(&judging, present).then_some(plain)
            }
            _ => {
                let refined = plain
                    .clone()
                    .refined(read, &sums, present, &fitting, (settings, device.products()))?;
                let of = |fit: &Fit| missed(read, &fit.weights, fit.bias.as_deref().unwrap_or(&bias), &others);
                let (first, second) = (of(&refined), of(&plain));
                let (fit, error) = if first <= second {
                    (refined, first)
                } else {
                    (plain, second)
                };
                (error <= missed(read, &weights, &bias, &others)).then_some(fit)
            }
        };
        let Some(fit) = better else {
            not_better += 1;
            continue;
        };
        // What the element type cannot hold leaves the layer as it was.
        let _stored = store(
            &mut pruned,
            &new,
            &heard.among(&fit.weights, whole),
            fit.bias.as_deref(),
        )?;
    }
    progress(todo.len(), todo.len());
    drop_unread(&mut pruned, change.graph);
    Ok(Reconstructed {
        proto: pruned,
        left,
        not_better,
        of: todo.len(),
    })
}

/// The layers behind a change, and those that should make up for a branch that went behind them, up to so many: what each is fitted to.
fn todo(change: Change, pruned: &ModelProto, settings: Settings) -> Result<(Vec<LinearOp>, Vec<ReconstructionTarget>)> {
    let rewritten = Graph::of(pruned)?;
    let gone = Gone::new(change, settings.in_front);
    let behind = affected::layers(change, &rewritten, &gone);
    let there = |m: &LinearOp| rewritten.producer.get(m.output.as_str()).copied();
    let mut layers: Vec<LinearOp> = linear_ops(change.graph)
        .into_iter()
        .filter(|m| there(m).is_some())
        .collect();
    // Both networks are run front to back, and masks are put in where a block ends.
    layers.sort_by_key(there);
    let with_targets = layers.into_iter().map(|m| {
        let target = ReconstructionTarget::of(change, &rewritten, &gone, &m);
        (m, target)
    });
    let all = with_targets.filter(|(m, target)| behind.contains(&m.node) || target.is_moved());
    Ok(all.take(settings.layers).unzip())
}

/// For each output of the rewritten layer, the original's output that it is; `None` for a new one.
fn kept_outputs(change: Change, old: &LinearOp) -> Vec<Option<usize>> {
    let dependencies = &change.analysis.dependencies;
    let remap = dependencies
        .by_name(&old.output)
        .and_then(|id| change.remaps.get(id, old.channel_axis(dependencies.dims(id).len())));
    remap.map_or_else(|| (0..old.outputs).map(Some).collect(), |e| e.gather())
}
