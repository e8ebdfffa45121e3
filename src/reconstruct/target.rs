//! What a layer should make: what the original made, and where a shortcut is added behind it, what makes up for the
//! shortcut's error too.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::aims::Aims;
use super::change::Change;
use super::flat::Flat;
use super::gone::Gone;
use crate::Result;
use crate::onnx::Graph;
use crate::ops::{ChannelAffine, LinearOp, Movement, is_batch_norm};
use crate::score::{OutputPosition, StagedExecutor};

/// What a layer is fitted to.
#[derive(Clone, Debug)]
pub struct ReconstructionTarget {
    /// The layer's own output in the original.
    own: String,
    own_node: usize,
    /// The activation that alone reads the output.
    activation: Option<ActivationBehind>,
    /// The sum that the output goes into.
    sum: Option<SumBehind>,
}

/// Slope and offset of every channel.
type Affine = (Vec<f32>, Vec<f32>);

#[derive(Clone, Debug)]
struct ActivationBehind {
    flat: Flat,
    /// A BatchNormalization between the layer and the activation.
    affine: Option<Affine>,
}

#[derive(Clone, Debug)]
struct SumBehind {
    node: usize,
    output: String,
    /// The other addend; `None` where it went, and the layer alone makes what the sum was.
    other: Option<String>,
    /// A BatchNormalization between the layer and the sum, as slope and offset of every output.
    affine: Option<Affine>,
    /// Where the activation that alone reads the sum is flat.
    flat: Option<Flat>,
    /// Whether the sum is another than the one that it goes into, because branches between both went.
    moved: bool,
}

impl ReconstructionTarget {
    /// What a layer of the original is fitted to, in a network that is without some branches.
    pub(super) fn of(change: Change, pruned: &Graph, gone: &Gone, linear_op: &LinearOp) -> Self {
        Self {
            own: linear_op.output.clone(),
            own_node: linear_op.node,
            activation: activation_behind(change.graph, linear_op),
            sum: sum_behind(change, pruned, gone, linear_op),
        }
    }

    /// Whether the layer should make something else than before, because a branch behind it went.
    pub(super) fn is_moved(&self) -> bool {
        self.sum.as_ref().is_some_and(|s| s.moved)
    }

    /// Values of the original that are needed.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.own.as_str()];
        names.extend(self.sum.as_ref().map(|s| s.output.as_str()));
        names
    }

    /// The target as far as it can be told: without the sum when the pruned network has not made the other addend yet.
    pub fn within(&self, after: &StagedExecutor) -> Self {
        let mut target = self.clone();
        target.sum = target
            .sum
            .filter(|s| s.other.as_ref().is_none_or(|o| after.value(0, o).is_ok()));
        target
    }

    /// The last node of the original that must have been run when the pruned network has been run up to node `at`, its layer.
    pub(super) fn node_within(&self, pruned: &Graph, at: usize) -> usize {
        let made = |other: &String| pruned.producer.get(other.as_str()).is_none_or(|&n| n < at);
        let sum = self.sum.as_ref().filter(|s| s.other.as_ref().is_none_or(made));
        sum.map_or(self.own_node, |s| s.node)
    }

    /// Whether the target makes up for another addend's error.
    pub fn carries(&self) -> bool {
        self.sum.is_some()
    }

    /// Whether an activation behind leaves a choice of what to make.
    pub(super) fn leaves_choice(&self) -> bool {
        match &self.sum {
            Some(sum) => sum.flat.is_some(),
            None => self.activation.is_some(),
        }
    }

    /// What each kept output should be at some places.
    pub(super) fn aims(
        &self,
        before: &StagedExecutor,
        after: &StagedExecutor,
        run: usize,
        picked: &[OutputPosition],
        (old, new): (&LinearOp, &LinearOp),
        kept: &[Option<usize>],
    ) -> Result<Aims> {
        let rows_of =
            |executor: &StagedExecutor, name: &str, linear_op: &LinearOp, kept: &[Option<usize>]| -> Result<Vec<f32>> {
                let mut all = Vec::new();
                executor.output_rows(run, name, linear_op, picked, &mut all)?;
                Ok(kept_rows(&all, picked.len(), kept))
            };
        let Some(sum) = &self.sum else {
            let values = rows_of(before, &self.own, old, kept)?;
            let behind = self.activation.as_ref();
            let affine = behind.and_then(|a| a.affine.as_ref());
            let own = |at: usize, v: f32| {
                let (slope, offset) = scaling(affine, kept, at);
                Point {
                    seen: slope * v + offset,
                    slope,
                    rest: offset,
                }
            };
            return Ok(Aims::of(values, behind.map(|a| a.flat), &own));
        };
        let sums = rows_of(before, &sum.output, old, kept)?;
        let same: Vec<Option<usize>> = (0..kept.len()).map(Some).collect();
        let other = match &sum.other {
            Some(other) => rows_of(after, other, new, &same)?,
            None => vec![0.0; sums.len()],
        };
        let affine = sum.affine.as_ref();
        let point = |at: usize, other: f32| {
            let (slope, offset) = scaling(affine, kept, at);
            (slope, offset + other)
        };
        let values = sums.iter().zip(&other).enumerate();
        let values: Vec<f32> = values
            .map(|(at, (s, &o))| {
                let (slope, rest) = point(at, o);
                (s - rest) / slope
            })
            .collect();
        let own = |at: usize, _| {
            let (slope, rest) = point(at, other.get(at).copied().unwrap_or(0.0));
            Point {
                seen: sums.get(at).copied().unwrap_or(0.0),
                slope,
                rest,
            }
        };
        Ok(Aims::of(values, sum.flat, &own))
    }
}

/// An element of an output: what the activation behind sees in the original, and by which line it sees what the layer makes.
struct Point {
    seen: f32,
    slope: f32,
    rest: f32,
}

impl Aims {
    /// Values, and where an activation is flat, what serves as well.
    fn of(values: Vec<f32>, flat: Option<Flat>, point: &(dyn Fn(usize, f32) -> Point + Sync)) -> Self {
        let Some(flat) = flat else {
            return Self {
                values,
                ..Self::default()
            };
        };
        let (mut least, mut most) = (values.clone(), values.clone());
        let bounds = least.par_iter_mut().zip(most.par_iter_mut());
        bounds
            .zip(values.par_iter())
            .enumerate()
            .for_each(|(at, ((least, most), &v))| {
                let Point { seen, slope, rest } = point(at, v);
                let (edge, below) = if seen <= flat.low {
                    (flat.low, true)
                } else if seen >= flat.high {
                    (flat.high, false)
                } else {
                    return;
                };
                let edge = (edge - rest) / slope;
                (*least, *most) = match below == (slope > 0.0) {
                    true => (f32::NEG_INFINITY, edge),
                    false => (edge, f32::INFINITY),
                };
            });
        Self { values, least, most }
    }
}

/// Slope and offset of an element of rows of kept outputs.
fn scaling(affine: Option<&Affine>, kept: &[Option<usize>], at: usize) -> (f32, f32) {
    let k = kept.get(at % kept.len().max(1)).copied().flatten().unwrap_or(0);
    let of = |(slope, offset): &Affine| Some((*slope.get(k)?, *offset.get(k)?));
    affine.and_then(of).unwrap_or((1.0, 0.0))
}

/// The activation that alone reads a layer's output, past a BatchNormalization.
fn activation_behind(graph: &Graph, linear_op: &LinearOp) -> Option<ActivationBehind> {
    let name = linear_op.output.as_str();
    if let Some(flat) = Flat::behind(graph, name) {
        return Some(ActivationBehind { flat, affine: None });
    }
    let given_out = graph.proto.output.iter().any(|o| o.name() == name);
    let at = match graph.consumers.get(name)?.as_slice() {
        [one] if !given_out => *one,
        _ => return None,
    };
    let node = graph.proto.node.get(at)?;
    let affine = affine_of(graph, at)?;
    let flat = Flat::behind(graph, node.output.first()?)?;
    Some(ActivationBehind {
        flat,
        affine: Some(affine),
    })
}

/// The sum right behind a layer (past a BatchNormalization or a quantization) with another activation of the same shape, or the later one
/// that this one stands for; without a sum, what the layer's output stands for.
fn sum_behind(change: Change, pruned: &Graph, gone: &Gone, linear_op: &LinearOp) -> Option<SumBehind> {
    // The graph as it is now tells what is behind; without branches that went it is the original's.
    let graph = if gone.is_empty() { change.graph } else { pruned };
    let only_user = |name: &str| -> Option<usize> {
        let given_out = graph.proto.output.iter().any(|o| o.name() == name);
        match graph.consumers.get(name)?.as_slice() {
            [one] if !given_out => Some(*one),
            _ => None,
        }
    };
    let mut name = linear_op.output.as_str();
    let mut at = only_user(name);
    let mut affine = None;
    if let Some(node) = at.and_then(|n| graph.proto.node.get(n)).filter(|n| is_batch_norm(n)) {
        let output = node.output.first()?;
        affine = Some(affine_of(change.graph, *change.graph.producer.get(output.as_str())?)?);
        name = output;
        at = only_user(name);
    }
    // Quantized and dequantized in between it is the same value, rounded.
    while let Some(node) = at.and_then(|n| graph.proto.node.get(n))
        && Movement::of(node) == Some(Movement::Quantization)
        && gone.aim(change.graph, pruned, name).is_none()
    {
        name = node.output.first()?;
        at = only_user(name);
    }
    let dependencies = &change.analysis.dependencies;
    let dims = |n: &str| dependencies.by_name(n).map(|id| dependencies.dims(id).to_vec());
    let node = at.and_then(|n| graph.proto.node.get(n));
    let sum = match node {
        Some(node) if node.op_type() == "Add" && node.input.len() == 2 => {
            let other = node.input.iter().find(|n| *n != name)?;
            let output = node.output.first()?;
            (dims(other)? == dims(name)? && dims(output)? == dims(name)?)
                .then_some((output.as_str(), Some(other.clone())))
        }
        _ => None,
    };
    let (output, other) = match sum {
        Some(sum) => sum,
        None => (name, None),
    };
    let aim = gone.aim(change.graph, pruned, output);
    // It goes into no sum and stands for none.
    if other.is_none() && aim.is_none() {
        return None;
    }
    let wanted = aim.unwrap_or(output);
    (dims(wanted)? == dims(name)?).then_some(())?;
    Some(SumBehind {
        node: *change.graph.producer.get(wanted)?,
        output: wanted.to_owned(),
        other,
        affine,
        flat: Flat::behind(graph, output),
        moved: aim.is_some(),
    })
}

/// A BatchNormalization as slope and offset of every channel; `None` where a slope is next to nothing.
fn affine_of(graph: &Graph, at: usize) -> Option<(Vec<f32>, Vec<f32>)> {
    let affine = ChannelAffine::of(graph, &graph.proto.node[at])?;
    let sound = affine.slope.iter().all(|s| s.abs() > 1e-6);
    sound.then(|| (affine.slope.clone(), affine.offsets()))
}

/// So many rows of outputs, only the kept ones in their new order.
fn kept_rows(all: &[f32], count: usize, kept: &[Option<usize>]) -> Vec<f32> {
    let width = all.len().checked_div(count).unwrap_or(0);
    let mut rows = vec![0.0; count * kept.len()];
    let both = rows
        .par_chunks_mut(kept.len().max(1))
        .zip(all.par_chunks_exact(width.max(1)));
    both.for_each(|(into, row)| {
        let of = |k: &Option<usize>| k.and_then(|i| row.get(i)).copied().unwrap_or(0.0);
        into.iter_mut().zip(kept).for_each(|(v, k)| *v = of(k));
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::{Aims, Flat, Point};

    /// An activation flat up to 0 and from 6 on sees slope · y + 1.
    #[test]
    fn what_serves_as_well_lies_on_the_flat_side() {
        let flat = Flat { low: 0.0, high: 6.0 };
        let none = (f32::NEG_INFINITY, f32::INFINITY);
        for (slope, expected) in [
            (2.0, [(none.0, -0.5), (1.0, 1.0), (2.5, none.1)]),
            (-2.0, [(0.5, none.1), (-1.0, -1.0), (none.0, -2.5)]),
        ] {
            let point = |_: usize, v: f32| Point {
                seen: slope * v + 1.0,
                slope,
                rest: 1.0,
            };
            let values = [-3.0, 1.0, 4.0].map(|v: f32| v * slope.signum());
            let aims = Aims::of(values.to_vec(), Some(flat), &point);
            let found: Vec<(f32, f32)> = aims.least.iter().copied().zip(aims.most.iter().copied()).collect();
            assert_eq!(found, expected);
            assert!(Aims::of(values.to_vec(), None, &point).least.is_empty());
        }
    }
}
