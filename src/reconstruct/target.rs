//! What a layer should make: what the original made, and where a shortcut is added behind it, what makes up for the
//! shortcut's error too.

use crate::Result;
use crate::channels::Analysis;
use crate::onnx::Graph;
use crate::ops::{ChannelAffine, LinearOp, Movement, is_batch_norm};
use crate::score::{OutputPosition, StagedExecutor, output_rows};

/// What a layer is fitted to.
#[derive(Clone, Debug)]
pub struct ReconstructionTarget {
    /// The layer's own output in the original.
    own: String,
    own_node: usize,
    /// The sum that the output goes into.
    sum: Option<SumBehind>,
}

#[derive(Clone, Debug)]
struct SumBehind {
    node: usize,
    output: String,
    /// The other addend.
    other: String,
    /// A BatchNormalization between the layer and the sum, as slope and offset of every output.
    affine: Option<(Vec<f32>, Vec<f32>)>,
}

impl ReconstructionTarget {
    /// What a layer of the original is fitted to.
    pub fn of(graph: &Graph, analysis: &Analysis, linear_op: &LinearOp) -> Self {
        Self {
            own: linear_op.output.clone(),
            own_node: linear_op.node,
            sum: sum_behind(graph, analysis, linear_op),
        }
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
        target.sum = target.sum.filter(|s| after.value(0, &s.other).is_ok());
        target
    }

    /// The last node of the original that must have been run.
    pub fn node(&self) -> usize {
        self.sum.as_ref().map_or(self.own_node, |s| s.node)
    }

    /// Whether the target makes up for another addend's error.
    pub fn carries(&self) -> bool {
        self.sum.is_some()
    }

    /// Rows of what each kept output should be at some places.
    pub(super) fn rows(
        &self,
        before: &StagedExecutor,
        after: &StagedExecutor,
        run: usize,
        picked: &[OutputPosition],
        (old, new): (&LinearOp, &LinearOp),
        kept: &[Option<usize>],
    ) -> Result<Vec<f32>> {
        let rows_of =
            |executor: &StagedExecutor, name: &str, linear_op: &LinearOp, kept: &[Option<usize>]| -> Result<Vec<f32>> {
                let held = executor.value(run, name)?;
                let values = held.floats().unwrap_or_default();
                Ok(kept_rows(linear_op, &values, &held.dims(), picked, kept))
            };
        let Some(sum) = &self.sum else {
            return rows_of(before, &self.own, old, kept);
        };
        let mut rows = rows_of(before, &sum.output, old, kept)?;
        let same: Vec<Option<usize>> = (0..kept.len()).map(Some).collect();
        let other = rows_of(after, &sum.other, new, &same)?;
        rows.iter_mut().zip(&other).for_each(|(a, b)| *a -= b);
        if let Some((slope, offset)) = &sum.affine {
            for row in rows.chunks_exact_mut(kept.len().max(1)) {
                for (v, k) in row.iter_mut().zip(kept) {
                    let k = k.unwrap_or(0);
                    *v = (*v - offset[k]) / slope[k];
                }
            }
        }
        Ok(rows)
    }
}

/// The sum right behind a layer (past a BatchNormalization or a quantization) with another activation of the same shape.
fn sum_behind(graph: &Graph, analysis: &Analysis, linear_op: &LinearOp) -> Option<SumBehind> {
    let only_user = |name: &str| -> Option<usize> {
        let given_out = graph.proto.output.iter().any(|o| o.name() == name);
        match graph.consumers.get(name)?.as_slice() {
            [one] if !given_out => Some(*one),
            _ => None,
        }
    };
    let mut name = linear_op.output.as_str();
    let mut at = only_user(name)?;
    let mut affine = None;
    if is_batch_norm(&graph.proto.node[at]) {
        let node = &graph.proto.node[at];
        affine = Some(affine_of(graph, at)?);
        name = node.output.first()?;
        at = only_user(name)?;
    }
    // Quantized and dequantized in between it is the same value, rounded.
    while Movement::of(&graph.proto.node[at]) == Some(Movement::Quantization) {
        name = graph.proto.node[at].output.first()?;
        at = only_user(name)?;
    }
    let node = &graph.proto.node[at];
    if node.op_type() != "Add" || node.input.len() != 2 {
        return None;
    }
    let other = node.input.iter().find(|n| *n != name)?;
    let dependencies = &analysis.dependencies;
    let dims = |n: &str| dependencies.by_name(n).map(|id| dependencies.dims(id).to_vec());
    let output = node.output.first()?;
    (dims(other)? == dims(name)? && dims(output)? == dims(name)?).then(|| SumBehind {
        node: at,
        output: output.clone(),
        other: other.clone(),
        affine,
    })
}

/// A BatchNormalization as slope and offset of every channel; `None` where a slope is next to nothing.
fn affine_of(graph: &Graph, at: usize) -> Option<(Vec<f32>, Vec<f32>)> {
    let affine = ChannelAffine::of(graph, &graph.proto.node[at])?;
    let sound = affine.slope.iter().all(|s| s.abs() > 1e-6);
    sound.then(|| (affine.slope.clone(), affine.offsets()))
}

/// Rows of an output value, only the kept outputs in their new order.
fn kept_rows(
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
