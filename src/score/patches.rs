//! What a layer sees at single positions of its output: rows of input values, and of output values.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::ops::{ConvSpec, Form, LinearOp};

/// A place of an output: which block of its first axis, and which place of that, row-major.
pub type OutputPosition = (usize, usize);

/// Where a layer's output has places: blocks along its first axis, and places of one block, row-major. Blocks are samples
/// where the first axis carries the batch.
pub fn places_of(linear_op: &LinearOp, output_dims: &[usize]) -> (usize, usize) {
    let samples = output_dims.first().copied().unwrap_or(0);
    let rest = match &linear_op.form {
        Form::Conv(_) => output_dims.get(2..),
        Form::Gemm { .. } => Some(&[][..]),
        Form::MatMul => output_dims.get(1..output_dims.len().max(2) - 1),
    };
    (samples, rest.unwrap_or(&[]).iter().product())
}

/// At most `most` places for each of `samples` samples, whichever axis carries them.
pub fn picked(
    linear_op: &LinearOp,
    output_dims: &[usize],
    samples: usize,
    most: usize,
    seed: u64,
) -> Vec<OutputPosition> {
    let (blocks, each) = places_of(linear_op, output_dims);
    let most = (most * samples).div_ceil(blocks.max(1)).max(1);
    sampled(blocks, each, most, seed)
}

/// At most `most` places of every block, at random where there are more; the same for the same seed.
pub fn sampled(samples: usize, places: usize, most: usize, seed: u64) -> Vec<OutputPosition> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut found = Vec::new();
    for n in 0..samples {
        if places <= most {
            found.extend((0..places).map(|q| (n, q)));
        } else {
            let mut picked = random.choose_multiple(0..places, most);
            picked.sort_unstable();
            found.extend(picked.into_iter().map(|q| (n, q)));
        }
    }
    found
}

/// Appends one row of `all_columns` values a place: what the layer multiplies by its weights there.
/// `x` has shape `dims`; `output_dims` are those of the layer's output.
pub fn input_rows(
    linear_op: &LinearOp,
    x: &[f32],
    dims: &[usize],
    output_dims: &[usize],
    places: &[OutputPosition],
    rows: &mut Vec<f32>,
) {
    let (width, before) = (linear_op.all_columns(), rows.len());
    rows.resize(before + places.len() * width, 0.0);
    if width == 0 {
        return;
    }
    let into = rows[before..].par_chunks_mut(width).zip(places.par_iter());
    let Form::Conv(spec) = &linear_op.form else {
        let (_, each) = places_of(linear_op, output_dims);
        into.for_each(|(row, &(n, q))| {
            let at = (n * each + q) * width;
            if let Some(seen) = x.get(at..at + width) {
                row.copy_from_slice(seen);
            }
        });
        return;
    };
    let channels = linear_op.input_channels();
    let (space, out_space) = (&dims[2..], &output_dims[2..]);
    let plane: usize = space.iter().product();
    into.for_each(|(row, &(n, q))| {
        let taps = 0..linear_op.taps;
        let offsets: Vec<Option<usize>> = taps.map(|t| offset(spec, space, out_space, q, t)).collect();
        for (c, row) in row.chunks_exact_mut(linear_op.taps).enumerate().take(channels) {
            let from = (n * channels + c) * plane;
            for (v, o) in row.iter_mut().zip(&offsets) {
                *v = o.map_or(0.0, |o| x[from + o]);
            }
        }
    });
}

/// Where tap `t` reads for output place `q`; `None` outside of the input.
pub(super) fn offset(
    spec: &ConvSpec,
    space: &[usize],
    out_space: &[usize],
    mut q: usize,
    mut t: usize,
) -> Option<usize> {
    let (mut found, mut step) = (0, 1);
    for axis in (0..space.len()).rev() {
        let (place, tap) = (q % out_space[axis], t % spec.kernel[axis]);
        (q, t) = (q / out_space[axis], t / spec.kernel[axis]);
        found += step * spec.input_index(axis, space[axis], place, tap)?;
        step *= space[axis];
    }
    Some(found)
}

/// Appends one row of output channels a place, from a value with the layer's output shape.
pub fn output_rows(linear_op: &LinearOp, y: &[f32], dims: &[usize], places: &[OutputPosition], rows: &mut Vec<f32>) {
    let (_, each) = places_of(linear_op, dims);
    let first = matches!(linear_op.form, Form::Conv(_));
    let channels = if first {
        dims.get(1).copied().unwrap_or(0)
    } else {
        dims.last().copied().unwrap_or(0)
    };
    let before = rows.len();
    rows.resize(before + places.len() * channels, 0.0);
    let into = rows[before..].par_chunks_mut(channels.max(1)).zip(places.par_iter());
    into.for_each(|(row, &(n, q))| {
        for (o, v) in row.iter_mut().enumerate() {
            let at = if first {
                (n * channels + o) * each + q
            } else {
                (n * each + q) * channels + o
            };
            *v = y.get(at).copied().unwrap_or(0.0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{input_rows, output_rows, places_of, sampled};
    use crate::onnx::{Graph, Tensor, encode, proto::*};
    use crate::ops::LinearOp;

    /// A layer of one node with its weights, and the graph it stands in.
    fn layer(op: &str, weights: Tensor, attributes: Vec<(&str, Vec<i64>)>) -> GraphProto {
        let mut node = NodeProto {
            op_type: Some(op.to_owned()),
            input: vec!["x".to_owned(), "w".to_owned()],
            output: vec!["y".to_owned()],
            ..Default::default()
        };
        for (name, list) in attributes {
            if name == "group" || name == "transB" {
                crate::onnx::Attributes::set_int(&mut node, name, list[0]);
            } else {
                crate::onnx::Attributes::set_ints(&mut node, name, list);
            }
        }
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        GraphProto {
            node: vec![node],
            initializer: vec![weights.to_proto("w")],
            input: vec![value("x")],
            output: vec![value("y")],
            ..Default::default()
        }
    }

    fn random(dims: &[usize], seed: u64) -> Tensor {
        let mut random = fastrand::Rng::with_seed(seed);
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| random.f32() - 0.5).collect();
        Tensor::from_f32(dims.to_vec(), &values)
    }

    /// Rows times weights are what ONNX Runtime computes, for every form.
    #[test]
    fn rows_times_weights_are_the_layers_output() -> Result<(), Box<dyn std::error::Error>> {
        let device = crate::device::CpuDevice::new(crate::device::Runtime::load(None)?, 1);
        type Case = (&'static str, Vec<usize>, Vec<usize>, Vec<(&'static str, Vec<i64>)>);
        let cases: Vec<Case> = vec![
            (
                "Conv",
                vec![2, 4, 7, 6],
                vec![6, 2, 3, 2],
                vec![
                    ("group", vec![2]),
                    ("strides", vec![2, 1]),
                    ("pads", vec![1, 0, 2, 1]),
                    ("dilations", vec![1, 2]),
                ],
            ),
            (
                "Conv",
                vec![2, 3, 9],
                vec![5, 3, 4],
                vec![("strides", vec![2, 2][..1].to_vec())],
            ),
            (
                "Conv",
                vec![1, 4, 5, 5],
                vec![4, 1, 3, 3],
                vec![("group", vec![4]), ("pads", vec![1, 1, 1, 1])],
            ),
            (
                "ConvTranspose",
                vec![2, 4, 3, 5],
                vec![4, 3, 2, 3],
                vec![("strides", vec![2, 2]), ("pads", vec![0, 1, 1, 0])],
            ),
            (
                "ConvTranspose",
                vec![1, 4, 3, 3],
                vec![4, 2, 3, 3],
                vec![("group", vec![2]), ("strides", vec![2, 1])],
            ),
            (
                "ConvTranspose",
                vec![1, 4, 3, 3],
                vec![4, 2, 3, 3],
                vec![
                    ("strides", vec![3, 2]),
                    ("output_padding", vec![2, 1]),
                    ("pads", vec![1, 1, 0, 1]),
                ],
            ),
            ("Gemm", vec![3, 5], vec![4, 5], vec![("transB", vec![1])]),
            ("Gemm", vec![3, 5], vec![5, 4], vec![]),
            ("MatMul", vec![2, 3, 5], vec![5, 4], vec![]),
        ];
        for (op, dx, dw, attributes) in cases {
            let graph = layer(op, random(&dw, 1), attributes);
            let index = Graph::new(&graph)?;
            let linear_op = LinearOp::of(&index, 0).ok_or("no mixer")?;
            let weights = linear_op.weights(&index).ok_or("no weights")?;
            assert_eq!(
                linear_op.stored_order(&weights),
                index.constant("w").and_then(|t| t.to_f32()).unwrap_or_default()
            );
            let x = random(&dx, 2);
            let mut typed = graph.clone();
            typed.input[0] = typed_value("x", &dx);
            let model = ModelProto {
                ir_version: Some(8),
                opset_import: vec![OperatorSetIdProto {
                    version: Some(13),
                    ..Default::default()
                }],
                graph: Some(typed),
                ..Default::default()
            };
            let outputs = crate::device::Executor::outputs(&device, &encode(&model), &[("x".to_owned(), x.clone())])?;
            let y = &outputs[0].1;
            assert_eq!(linear_op.output_dims(&dx).as_ref(), Some(&y.dims), "{op} {dx:?} {dw:?}");
            let (samples, each) = places_of(&linear_op, &y.dims);
            let places = sampled(samples, each, usize::MAX, 0);
            let (mut seen, mut made) = (Vec::new(), Vec::new());
            input_rows(
                &linear_op,
                &x.to_f32().unwrap_or_default(),
                &dx,
                &y.dims,
                &places,
                &mut seen,
            );
            output_rows(&linear_op, &y.to_f32().unwrap_or_default(), &y.dims, &places, &mut made);
            let (columns, per) = (linear_op.columns(), linear_op.group_outputs());
            assert_eq!(
                (seen.len(), made.len()),
                (places.len() * linear_op.all_columns(), places.len() * linear_op.outputs)
            );
            for p in 0..places.len() {
                for o in 0..linear_op.outputs {
                    let row = &seen[p * linear_op.all_columns() + o / per * columns..][..columns];
                    let sum: f32 = row.iter().zip(&weights[o * columns..]).map(|(a, b)| a * b).sum();
                    assert!(
                        (sum - made[p * linear_op.outputs + o]).abs() < 1e-4,
                        "{op} {dw:?} place {p} output {o}"
                    );
                }
            }
        }
        Ok(())
    }

    fn typed_value(name: &str, dims: &[usize]) -> ValueInfoProto {
        let dim = dims.iter().map(|&d| tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimValue(d as i64)),
            ..Default::default()
        });
        ValueInfoProto {
            name: Some(name.to_owned()),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: Some(1),
                    shape: Some(TensorShapeProto { dim: dim.collect() }),
                })),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn places_are_drawn_alike_for_one_seed() {
        let drawn = sampled(2, 100, 5, 7);
        assert_eq!(drawn, sampled(2, 100, 5, 7));
        assert_eq!(drawn.len(), 10);
        assert!(drawn.is_sorted() && drawn.iter().all(|&(n, q)| n < 2 && q < 100));
        assert_eq!(sampled(1, 3, 5, 7), [(0, 0), (0, 1), (0, 2)]);
    }
}
