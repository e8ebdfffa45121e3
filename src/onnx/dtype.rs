//! Element types, and how much of them a message holds.

use super::proto::{
    TensorProto,
    tensor_proto::{DataLocation, DataType},
};
use crate::{Error, Result};

/// An element type, as in `TensorProto.DataType`.
pub type Dtype = DataType;

/// The bytes of one element, or `None` for strings and types packed below a byte.
pub fn element_size(dtype: Dtype) -> Option<usize> {
    Some(match dtype {
        Dtype::Uint8
        | Dtype::Int8
        | Dtype::Bool
        | Dtype::Float8e4m3fn
        | Dtype::Float8e4m3fnuz
        | Dtype::Float8e5m2
        | Dtype::Float8e5m2fnuz
        | Dtype::Float8e8m0 => 1,
        Dtype::Uint16 | Dtype::Int16 | Dtype::Float16 | Dtype::Bfloat16 => 2,
        Dtype::Float | Dtype::Int32 | Dtype::Uint32 => 4,
        Dtype::Int64 | Dtype::Double | Dtype::Uint64 | Dtype::Complex64 => 8,
        Dtype::Complex128 => 16,
        _ => return None,
    })
}

/// The bits of one element of a type that is packed below a byte; `None` for all others.
pub(super) fn bits_below_a_byte(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::Int4 | Dtype::Uint4 | Dtype::Float4e2m1 => Some(4),
        Dtype::Int2 | Dtype::Uint2 => Some(2),
        _ => None,
    }
}

/// The number of elements of a message's extents.
fn element_count(proto: &TensorProto) -> Result<usize> {
    let fail = |what: String| Error::tensor(proto.name(), what);
    proto.dims.iter().try_fold(1usize, |count, &d| {
        let d = usize::try_from(d).map_err(|_| fail(format!("negative extent {d}")))?;
        count.checked_mul(d).ok_or_else(|| fail("extents overflow".to_owned()))
    })
}

/// The bytes that a message's extents and element type ask for; `None` where the type does not say (texts).
///
/// # Errors
/// When extents are negative or overflow, or the type is unknown.
pub(super) fn expected_bytes(proto: &TensorProto) -> Result<Option<usize>> {
    let fail = |what: String| Error::tensor(proto.name(), what);
    let dtype =
        Dtype::try_from(proto.data_type()).map_err(|_| fail(format!("unknown data type {}", proto.data_type())))?;
    let count = element_count(proto)?;
    Ok(match (element_size(dtype), bits_below_a_byte(dtype)) {
        (Some(size), _) => Some(
            count
                .checked_mul(size)
                .ok_or_else(|| fail("extents overflow".to_owned()))?,
        ),
        (None, Some(bits)) => Some(count.div_ceil(8 / bits)),
        (None, None) => None,
    })
}

/// Checks that a message whose data it holds itself holds as much as its extents say, without copying it.
///
/// # Errors
/// When it does not.
pub(super) fn check_size(proto: &TensorProto) -> Result<()> {
    let expected = expected_bytes(proto)?;
    if proto.data_location() == DataLocation::External {
        return Ok(());
    }
    let count = element_count(proto)?;
    let (have, want, what) = match (&proto.raw_data, expected) {
        (Some(raw), Some(want)) => (raw.len(), want, "bytes"),
        (None, Some(_)) => {
            let dtype = Dtype::try_from(proto.data_type()).unwrap_or(Dtype::Undefined);
            match dtype {
                Dtype::Float => (proto.float_data.len(), count, "values"),
                Dtype::Complex64 => (proto.float_data.len(), count.saturating_mul(2), "values"),
                Dtype::Double => (proto.double_data.len(), count, "values"),
                Dtype::Complex128 => (proto.double_data.len(), count.saturating_mul(2), "values"),
                Dtype::Int64 => (proto.int64_data.len(), count, "values"),
                Dtype::Uint32 | Dtype::Uint64 => (proto.uint64_data.len(), count, "values"),
                // Packed in ways that differ between writers.
                packed if bits_below_a_byte(packed).is_some() => return Ok(()),
                _ => (proto.int32_data.len(), count, "values"),
            }
        }
        (_, None) => (proto.string_data.len(), count, "texts"),
    };
    if have == want {
        return Ok(());
    }
    Err(Error::tensor(
        proto.name(),
        format!("{have} {what} for {:?}, {want} expected", proto.dims),
    ))
}

/// The typed fields of a message as little-endian bytes.
pub(super) fn typed_bytes(proto: &TensorProto, dtype: Dtype) -> Vec<u8> {
    let narrow = |size: usize| {
        proto
            .int32_data
            .iter()
            .flat_map(move |v| v.to_le_bytes().into_iter().take(size))
            .collect()
    };
    match dtype {
        Dtype::Float | Dtype::Complex64 => proto.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::Double | Dtype::Complex128 => proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::Int64 => proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::Uint64 => proto.uint64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::Uint32 => proto
            .uint64_data
            .iter()
            .flat_map(|v| (*v as u32).to_le_bytes())
            .collect(),
        other => narrow(element_size(other).unwrap_or(4)),
    }
}
