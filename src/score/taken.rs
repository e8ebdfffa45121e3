//! Values of a layer at single places, wherever a device keeps the whole.

use std::sync::Mutex;

use super::patches::{OutputPosition, input_rows, input_rows_taken, output_places, output_rows};
use super::staged_executor::StagedExecutor;
use crate::device::{DeviceTensor, Runner};
use crate::onnx::proto::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::Dimension, type_proto,
};
use crate::onnx::{Attributes, Dtype, Tensor, encode, named_value};
use crate::ops::{Form, LinearOp};
use crate::{Error, Result};

/// Takes the channels at places out of values that stay in a device's own memory: only these come to the host. Loaded for each number of
/// axes, type and order of axes when it is needed.
#[derive(Debug, Default)]
pub(super) struct Taker {
    loaded: Mutex<Vec<(Layout, Runner)>>,
}

/// How a value lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    axes: usize,
    dtype: Dtype,
    /// Whether channels are the second axis; otherwise they are the last.
    channels_second: bool,
}

impl StagedExecutor<'_> {
    /// Appends one row of `all_columns` values a place: what a layer multiplies by its weights there. `name`: its input.
    ///
    /// # Errors
    /// When the value is not kept here or not of floats, or a run fails.
    pub fn input_rows(
        &self,
        run: usize,
        name: &str,
        (linear_op, output_dims): (&LinearOp, &[usize]),
        places: &[OutputPosition],
        rows: &mut Vec<f32>,
    ) -> Result<()> {
        let held = self.value(run, name)?;
        let dims = held.dims();
        if let Some(values) = held.floats() {
            input_rows(linear_op, &values, &dims, output_dims, places, rows);
            return Ok(());
        }
        let mut take = |at: &[i64]| self.take(held, name, linear_op, at);
        input_rows_taken(linear_op, &dims, output_dims, places, &mut take, rows)
    }

    /// Appends one row of output channels a place, from a value with the layer's output shape.
    ///
    /// # Errors
    /// As in [`Self::input_rows`].
    pub fn output_rows(
        &self,
        run: usize,
        name: &str,
        linear_op: &LinearOp,
        places: &[OutputPosition],
        rows: &mut Vec<f32>,
    ) -> Result<()> {
        let held = self.value(run, name)?;
        let dims = held.dims();
        match held.floats() {
            Some(values) => output_rows(linear_op, &values, &dims, places, rows),
            // Integers are no aim.
            None if !held.is_float() => {}
            None => rows.extend(self.take(held, name, linear_op, &output_places(linear_op, &dims, places))?),
        }
        Ok(())
    }

    /// All channels at places of a value that stays in the device's memory, place by place.
    fn take(&self, held: &DeviceTensor, name: &str, linear_op: &LinearOp, at: &[i64]) -> Result<Vec<f32>> {
        let wrong = || Error::Model(format!("value '{name}' is not of floats"));
        let layout = Layout {
            axes: held.dims().len(),
            dtype: held.dtype().filter(|_| held.is_float()).ok_or_else(wrong)?,
            channels_second: matches!(linear_op.form, Form::Conv(_)),
        };
        let dims = held.dims();
        let channels = if layout.channels_second {
            dims.get(1)
        } else {
            dims.last()
        };
        let channels = *channels.ok_or_else(wrong)?;
        let shape = DeviceTensor::new("shape", &Tensor::from_i64(&[-1, channels as i64]))?;
        let at = DeviceTensor::new("at", &Tensor::from_i64(at))?;
        let mut loaded = self
            .taker()
            .loaded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = match loaded.iter().position(|(l, _)| *l == layout) {
            Some(known) => known,
            None => {
                loaded.push((layout, self.device().runner(&encode(&taking(layout)))?));
                loaded.len() - 1
            }
        };
        let (_, runner) = &mut loaded[known];
        let made = runner.run(&[("x", held), ("shape", &shape), ("at", &at)])?;
        let taken = made.first().and_then(|(_, taken)| taken.floats()).ok_or_else(wrong)?;
        Ok(taken.into_owned())
    }
}

/// A model that gives rows of a value: x and numbers of places to places × channels.
fn taking(layout: Layout) -> ModelProto {
    let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(output.to_owned()),
        input: inputs.iter().map(|&i| i.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..Default::default()
    };
    let mut nodes = Vec::new();
    let mut last = "x";
    if layout.channels_second && layout.axes > 2 {
        let mut moved = node("Transpose", &["x"], "moved");
        let order = std::iter::once(0).chain(2..layout.axes as i64).chain([1]);
        moved.set_ints("perm", order.collect());
        nodes.push(moved);
        last = "moved";
    }
    nodes.push(node("Reshape", &[last, "shape"], "rows"));
    nodes.push(node("Gather", &["rows", "at"], "taken"));
    let typed = |name: &str, dtype: Dtype, axes: usize| ValueInfoProto {
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: Some(dtype as i32),
                shape: Some(TensorShapeProto {
                    dim: vec![Dimension::default(); axes],
                }),
            })),
            ..Default::default()
        }),
        ..named_value(name)
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(17),
        }],
        graph: Some(GraphProto {
            name: Some("taking".to_owned()),
            node: nodes,
            input: vec![
                typed("x", layout.dtype, layout.axes),
                typed("shape", Dtype::Int64, 1),
                typed("at", Dtype::Int64, 1),
            ],
            output: vec![typed("taken", layout.dtype, 2)],
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{CpuDevice, Runtime};
    use crate::onnx::Graph;

    /// Layers of every form see the same whether places are taken out of values by the device or read from the whole.
    #[test]
    fn what_is_taken_is_what_stands_there() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let device = CpuDevice::new(Runtime::load(None)?, 1);
        type Case = (&'static str, Vec<usize>, Vec<usize>, Vec<(&'static str, Vec<i64>)>);
        let pads = vec![
            ("pads", vec![1, 0, 2, 1]),
            ("strides", vec![2, 1]),
            ("dilations", vec![1, 2]),
        ];
        let cases: Vec<Case> = vec![
            ("Conv", vec![2, 4, 7, 6], vec![6, 4, 3, 2], pads),
            ("Conv", vec![2, 3, 9], vec![5, 3, 4], vec![]),
            ("Conv", vec![2, 4, 5, 5], vec![3, 4, 1, 1], vec![]),
            ("Gemm", vec![3, 4], vec![4, 5], vec![]),
            ("MatMul", vec![2, 3, 4], vec![4, 5], vec![]),
        ];
        for (op, dims, weights, attributes) in cases {
            let mut node = NodeProto {
                op_type: Some(op.to_owned()),
                input: vec!["x".to_owned(), "w".to_owned()],
                output: vec!["y".to_owned()],
                ..Default::default()
            };
            attributes
                .into_iter()
                .for_each(|(name, list)| node.set_ints(name, list));
            let mut random = fastrand::Rng::with_seed(4);
            let mut tensor = |dims: &[usize]| {
                let values: Vec<f32> = (0..dims.iter().product()).map(|_| random.f32() - 0.5).collect();
                Tensor::from_f32(dims.to_vec(), &values)
            };
            let proto = GraphProto {
                node: vec![node],
                initializer: vec![tensor(&weights).to_proto("w")],
                input: vec![named_value("x")],
                output: vec![named_value("y")],
                ..Default::default()
            };
            let graph = Graph::new(&proto)?;
            let layer = LinearOp::of(&graph, 0).ok_or("no layer")?;
            let out = layer.output_dims(&dims).ok_or("no output")?;
            let inputs = [("x".to_owned(), tensor(&dims)), ("y".to_owned(), tensor(&out))];
            let executor = StagedExecutor::of(&device, &inputs)?;
            let (blocks, each) = super::super::patches::places_of(&layer, &out);
            let places = super::super::patches::sampled(blocks, each, 5, 1);
            let [mut whole, mut taken] = [Vec::new(), Vec::new()];
            executor.input_rows(0, "x", (&layer, &out), &places, &mut whole)?;
            let held = executor.value(0, "x")?;
            let mut take = |at: &[i64]| executor.take(held, "x", &layer, at);
            input_rows_taken(&layer, &dims, &out, &places, &mut take, &mut taken)?;
            assert!(
                whole.len() == places.len() * layer.all_columns() && whole == taken,
                "{op} {dims:?}"
            );
            let mut whole = Vec::new();
            executor.output_rows(0, "y", &layer, &places, &mut whole)?;
            let taken = executor.take(
                executor.value(0, "y")?,
                "y",
                &layer,
                &output_places(&layer, &out, &places),
            )?;
            assert!(
                whole.len() == places.len() * layer.outputs && whole == taken,
                "{op} {out:?}"
            );
        }
        Ok(())
    }
}
