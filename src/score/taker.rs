//! Values at single places, taken where a device keeps the whole.

use std::sync::{Mutex, PoisonError};

use crate::device::{Device, DeviceTensor, Runner};
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

impl Taker {
    /// All channels at places of a value of a layer, place by place; places are numbered over the first axis and those of space. `name`: the
    /// value's.
    ///
    /// # Errors
    /// When the value is not of floats, or a run fails.
    pub fn take(
        &self,
        device: &dyn Device,
        (name, held): (&str, &DeviceTensor),
        linear_op: &LinearOp,
        at: &[i64],
    ) -> Result<Vec<f32>> {
        let wrong = || Error::Model(format!("value '{name}' is not of floats"));
        let dims = held.dims();
        let layout = Layout {
            axes: dims.len(),
            dtype: held.dtype().filter(|_| held.is_float()).ok_or_else(wrong)?,
            channels_second: matches!(linear_op.form, Form::Conv(_)),
        };
        let channels = if layout.channels_second {
            dims.get(1)
        } else {
            dims.last()
        };
        let channels = *channels.ok_or_else(wrong)?;
        let shape = DeviceTensor::new("shape", &Tensor::from_i64(&[-1, channels as i64]))?;
        let at = DeviceTensor::new("at", &Tensor::from_i64(at))?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match loaded.iter().position(|(l, _)| *l == layout) {
            Some(known) => known,
            None => {
                loaded.push((layout, device.runner(&encode(&taking(layout)))?));
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
