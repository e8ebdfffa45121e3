//! Between our tensors and ONNX Runtime's.

use half::{bf16, f16};
use ort::value::{DynValue, Outlet, TensorElementType, ValueType};

use crate::onnx::{Dtype, Tensor};
use crate::{Error, Result};

/// A model input or output with its name.
pub type NamedTensor = (String, Tensor);

/// An ONNX Runtime value with the tensor's contents.
pub(super) fn to_value(name: &str, tensor: &Tensor) -> Result<DynValue> {
    let shape: Vec<i64> = tensor.dims.iter().map(|&d| d as i64).collect();
    macro_rules! make {
        ($kind:ty) => {{
            let size = size_of::<$kind>();
            let data: Vec<$kind> = tensor
                .bytes
                .chunks_exact(size)
                .map(|b| {
                    let mut word = [0u8; size_of::<$kind>()];
                    word.copy_from_slice(b);
                    <$kind>::from_le_bytes(word)
                })
                .collect();
            ort::value::Tensor::from_array((shape, data))?.into_dyn()
        }};
    }
    Ok(match tensor.dtype {
        Dtype::Float => make!(f32),
        Dtype::Double => make!(f64),
        Dtype::Float16 => make!(f16),
        Dtype::Bfloat16 => make!(bf16),
        Dtype::Int64 => make!(i64),
        Dtype::Int32 => make!(i32),
        Dtype::Int16 => make!(i16),
        Dtype::Int8 => make!(i8),
        Dtype::Uint8 => make!(u8),
        Dtype::Uint16 => make!(u16),
        Dtype::Bool => {
            let data: Vec<bool> = tensor.bytes.iter().map(|&b| b != 0).collect();
            ort::value::Tensor::from_array((shape, data))?.into_dyn()
        }
        other => {
            return Err(Error::tensor(
                name,
                format!("inputs of type {} are not handled", other.as_str_name()),
            ));
        }
    })
}

/// The contents of an ONNX Runtime value; `None` when it is not a tensor of numbers.
pub(super) fn from_value(value: &DynValue) -> Option<Tensor> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return None;
    };
    let dims: Vec<usize> = shape.iter().map(|&d| d.max(0) as usize).collect();
    macro_rules! read {
        ($kind:ty, $dtype:expr) => {{
            let (_, data) = value.try_extract_tensor::<$kind>().ok()?;
            (data.iter().flat_map(|v| v.to_le_bytes()).collect(), $dtype)
        }};
    }
    let (bytes, dtype): (Vec<u8>, Dtype) = match ty {
        TensorElementType::Float32 => read!(f32, Dtype::Float),
        TensorElementType::Float64 => read!(f64, Dtype::Double),
        TensorElementType::Float16 => read!(f16, Dtype::Float16),
        TensorElementType::Bfloat16 => read!(bf16, Dtype::Bfloat16),
        TensorElementType::Int64 => read!(i64, Dtype::Int64),
        TensorElementType::Int32 => read!(i32, Dtype::Int32),
        TensorElementType::Int16 => read!(i16, Dtype::Int16),
        TensorElementType::Int8 => read!(i8, Dtype::Int8),
        TensorElementType::Uint8 => read!(u8, Dtype::Uint8),
        TensorElementType::Uint16 => read!(u16, Dtype::Uint16),
        TensorElementType::Bool => {
            let (_, data) = value.try_extract_tensor::<bool>().ok()?;
            (data.iter().map(|&b| u8::from(b)).collect(), Dtype::Bool)
        }
        _ => return None,
    };
    let bytes: Vec<u8> = bytes;
    Some(Tensor {
        dims,
        dtype,
        bytes: bytes.into(),
    })
}

/// The extents of a value; `None` when it is not a tensor.
pub(super) fn shape(value: &DynValue) -> Option<Vec<usize>> {
    match value.dtype() {
        ValueType::Tensor { shape, .. } => Some(shape.iter().map(|&d| d.max(0) as usize).collect()),
        _ => None,
    }
}

/// Whether a value holds 32-bit floats.
pub(super) fn is_float(value: &DynValue) -> bool {
    matches!(
        value.dtype(),
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            ..
        }
    )
}

/// The bytes of one element of a value, where that is known and not 4.
pub(super) fn odd_element_bytes(value: &DynValue) -> Option<usize> {
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return None;
    };
    let bytes = match ty {
        TensorElementType::Int8 | TensorElementType::Uint8 | TensorElementType::Bool => 1,
        TensorElementType::Float16
        | TensorElementType::Bfloat16
        | TensorElementType::Int16
        | TensorElementType::Uint16 => 2,
        TensorElementType::Float64 | TensorElementType::Int64 | TensorElementType::Uint64 => 8,
        _ => return None,
    };
    Some(bytes)
}

/// The names of inputs or outputs.
pub(super) fn names(outlets: &[Outlet]) -> Vec<String> {
    outlets.iter().map(|o| o.name().to_owned()).collect()
}
