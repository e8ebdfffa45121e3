//! What a layer makes of rows of its inputs.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use pulp::Arch;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::ops::LinearOp;

/// Rows that are computed at a time, on as many threads as there are.
const ROWS: usize = 512;
/// Weights of a group are so few that a plain loop over all groups is faster than products group by group.
const FEW: usize = 64;

/// Outputs (rows × outputs) of rows of all groups' columns by weights (outputs × columns) and biases.
pub(super) fn outputs(layer: &LinearOp, rows: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let (width, columns, per) = (layer.all_columns(), layer.columns(), layer.group_outputs());
    let count = rows.len().checked_div(width).unwrap_or(0);
    let mut made = vec![0.0; count * layer.outputs];
    if layer.outputs == 0 || count == 0 || columns == 0 {
        return made;
    }
    let chunks = rows.par_chunks(ROWS * width);
    made.par_chunks_mut(ROWS * layer.outputs)
        .zip(chunks)
        .for_each(|(made, rows)| {
            match columns * per <= FEW {
                true => Arch::new().dispatch(|| by_rows(layer, rows, weights, made)),
                false => by_groups(layer, rows, weights, made),
            }
            for out in made.chunks_exact_mut(layer.outputs) {
                out.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
            }
        });
    made
}

#[inline(always)]
fn by_rows(layer: &LinearOp, rows: &[f32], weights: &[f32], made: &mut [f32]) {
    let (columns, per) = (layer.columns(), layer.group_outputs());
    let both = rows
        .chunks_exact(layer.all_columns())
        .zip(made.chunks_exact_mut(layer.outputs));
    for (row, out) in both {
        match columns {
            // Depthwise layers of 3 × 3 and 5 × 5: lengths that are known make vectors of the loops.
            9 => by_taps::<9>(row, weights, out, per),
            25 => by_taps::<25>(row, weights, out, per),
            _ => {
                let groups = row.chunks_exact(columns).zip(weights.chunks_exact(per * columns));
                for ((seen, own), out) in groups.zip(out.chunks_exact_mut(per)) {
                    for (out, w) in out.iter_mut().zip(own.chunks_exact(columns)) {
                        *out = seen.iter().zip(w).map(|(x, w)| x * w).sum();
                    }
                }
            }
        }
    }
}

/// One row of groups of so many columns with `per` outputs each.
#[inline(always)]
fn by_taps<const COLUMNS: usize>(row: &[f32], weights: &[f32], out: &mut [f32], per: usize) {
    let (row, _) = row.as_chunks::<COLUMNS>();
    let (weights, _) = weights.as_chunks::<COLUMNS>();
    let groups = row.iter().zip(weights.chunks_exact(per)).zip(out.chunks_exact_mut(per));
    for ((seen, own), out) in groups {
        for (out, w) in out.iter_mut().zip(own) {
            *out = seen.iter().zip(w).map(|(x, w)| x * w).sum();
        }
    }
}

fn by_groups(layer: &LinearOp, rows: &[f32], weights: &[f32], made: &mut [f32]) {
    let (width, columns, per) = (layer.all_columns(), layer.columns(), layer.group_outputs());
    let count = rows.len() / width;
    let x = MatRef::from_row_major_slice(rows, count, width);
    let mut product: Mat<f32> = Mat::zeros(per, count);
    for (g, own) in weights.chunks_exact(per * columns).enumerate().take(layer.groups()) {
        let w = MatRef::from_row_major_slice(own, per, columns);
        let seen = x.subcols(g * columns, columns);
        matmul(product.as_mut(), Accum::Replace, w, seen.transpose(), 1.0f32, Par::Seq);
        for (n, out) in made.chunks_exact_mut(layer.outputs).enumerate() {
            let into = out.iter_mut().skip(g * per).zip(product.col(n).iter());
            into.for_each(|(v, &p)| *v = p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::outputs;
    use crate::onnx::{Attributes, Graph, Tensor, proto::*};
    use crate::ops::LinearOp;

    /// A 3×3 convolution of so many groups, whose weights have this shape.
    fn layer(groups: usize, dims: &[usize]) -> Option<LinearOp> {
        let mut node = NodeProto {
            op_type: Some("Conv".to_owned()),
            input: vec!["x".to_owned(), "w".to_owned(), "b".to_owned()],
            output: vec!["y".to_owned()],
            ..Default::default()
        };
        Attributes::set_int(&mut node, "group", groups as i64);
        let zeros = |dims: &[usize]| Tensor::from_f32(dims.to_vec(), &vec![0.0; dims.iter().product()]);
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![node],
            input: vec![value("x")],
            output: vec![value("y")],
            initializer: vec![zeros(dims).to_proto("w"), zeros(&dims[..1]).to_proto("b")],
            ..Default::default()
        };
        LinearOp::of(&Graph::new(&graph).ok()?, 0)
    }

    #[test]
    fn outputs_are_rows_times_weights_whatever_the_groups() {
        let mut random = fastrand::Rng::with_seed(2);
        for (groups, dims) in [
            (1, [5, 3, 3, 3]),
            (6, [12, 1, 3, 3]),
            (3, [30, 4, 3, 3]),
            (4, [4, 1, 3, 3]),
        ] {
            let layer = layer(groups, &dims).unwrap();
            let (width, columns, per) = (layer.all_columns(), layer.columns(), layer.group_outputs());
            assert_eq!((layer.groups(), columns), (groups, dims[1] * 9));
            let mut drawn = |n: usize| (0..n).map(|_| random.f32() - 0.5).collect::<Vec<f32>>();
            let (rows, weights, bias) = (drawn(1100 * width), drawn(dims[0] * columns), drawn(dims[0]));
            let made = outputs(&layer, &rows, &weights, &bias);
            assert_eq!(made.len(), 1100 * dims[0]);
            for (n, row) in rows.chunks_exact(width).enumerate() {
                for o in 0..dims[0] {
                    let seen = &row[o / per * columns..][..columns];
                    let sum: f32 = seen.iter().zip(&weights[o * columns..]).map(|(x, w)| x * w).sum();
                    let found = made[n * dims[0] + o];
                    assert!((found - sum - bias[o]).abs() < 1e-5, "{dims:?} row {n} output {o}");
                }
            }
        }
        let none = layer(1, &[5, 3, 3, 3]).unwrap();
        assert!(outputs(&none, &[], &[0.0; 135], &[0.0; 5]).is_empty());
    }
}
