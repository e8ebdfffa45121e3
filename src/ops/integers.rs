//! Types of integers that weights are stored as.

use crate::onnx::{Dtype, Tensor};

/// The least and the most that a type of integers holds; `None` of any other type.
pub fn integer_limits(dtype: Dtype) -> Option<(i64, i64)> {
    Some(match dtype {
        Dtype::Int8 => (-128, 127),
        Dtype::Uint8 => (0, 255),
        Dtype::Int16 => (-32768, 32767),
        Dtype::Uint16 => (0, 65535),
        Dtype::Int4 => (-8, 7),
        Dtype::Uint4 => (0, 15),
        Dtype::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => return None,
    })
}

/// A tensor of these integers, of the type of `like`.
pub fn with_integers(like: &Tensor, dims: Vec<usize>, values: &[i64]) -> Tensor {
    let size = like.bytes.len() / like.len().max(1);
    Tensor {
        dims,
        dtype: like.dtype,
        bytes: values
            .iter()
            .flat_map(|v| v.to_le_bytes().into_iter().take(size))
            .collect(),
    }
}
