//! Integers on the way: a gradient passes them as if nothing was rounded (Bengio et al., 2013), where nothing was cut off.

use super::super::tape::{Products, Tape};
use super::pointwise::between;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Dtype};
use crate::ops::integer_limits;

/// `QuantizeLinear` with one scale: 1 where the integer is not cut off at an end of its type.
pub fn quantize(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let x = node.input.first()?.clone();
    tape.dims.get(&x)?;
    let [scale] = *tape.graph.stored(node.input.get(1)?)?.to_f32()? else {
        return None;
    };
    let zero = match node.input.get(2).filter(|name| !name.is_empty()) {
        Some(name) => tape.graph.stored(name)?,
        None => {
            let dtype = i32::try_from(node.int("output_dtype", Dtype::Uint8 as i64)).ok()?;
            return cut(tape, &x, dy, (scale, 0), Dtype::try_from(dtype).ok()?);
        }
    };
    let [point] = *zero.to_i64()? else { return None };
    cut(tape, &x, dy, (scale, point), zero.dtype)
}

fn cut(tape: &mut Tape, x: &str, dy: &str, (scale, zero): (f32, i64), dtype: Dtype) -> Option<Products> {
    let (least, most) = integer_limits(dtype)?;
    let end = |integer: i64, beyond: f32| ((integer - zero) as f32 + beyond) * scale;
    let inside = between(tape, x, end(least, -0.5), end(most, 0.5));
    Some(vec![(0, tape.builder.op("Mul", &[dy, &inside], &[]))])
}

/// `DequantizeLinear` of integers that the inputs have a part in: the gradient is told in floats, on both sides of the integers.
pub fn dequantize(tape: &Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    tape.dims.get(node.output.first()?)?;
    Some(vec![(0, dy.to_owned())])
}
