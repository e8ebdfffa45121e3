//! A tensor as little-endian bytes: every dtype can be cut and padded, the float ones also read.

use bytes::Bytes;
use half::{bf16, f16};
use ndarray::ArrayD;

use super::dtype::{Dtype, bits_below_a_byte, element_size, typed_bytes};
use super::packed;
use super::proto::TensorProto;
use crate::{Error, Result};

/// A tensor in memory: `dims`, element type and row-major little-endian bytes. Types packed below a byte take a byte an element,
/// signed ones with their sign extended.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extent of each axis.
    pub dims: Vec<usize>,
    /// Element type.
    pub dtype: Dtype,
    /// Row-major little-endian elements; clones share them.
    pub bytes: Bytes,
}

impl Tensor {
    /// Reads an initializer or a `Constant` value whose data is in the message.
    ///
    /// # Errors
    /// When the dims are negative or overflow, the bytes do not fit the dims, or the dtype is
    /// a string.
    pub fn read(proto: &TensorProto) -> Result<Self> {
        let fail = |what: String| Error::tensor(proto.name(), what);
        let dtype =
            Dtype::try_from(proto.data_type()).map_err(|_| fail(format!("unknown data type {}", proto.data_type())))?;
        let bits = bits_below_a_byte(dtype);
        let size = element_size(dtype).or(bits.map(|_| 1));
        let size = size.ok_or_else(|| fail(format!("data type {} is not handled", dtype.as_str_name())))?;
        let mut dims = Vec::with_capacity(proto.dims.len());
        let mut count = 1usize;
        for &d in &proto.dims {
            let d = usize::try_from(d).map_err(|_| fail(format!("negative extent {d}")))?;
            count = count
                .checked_mul(d)
                .ok_or_else(|| fail("extents overflow".to_owned()))?;
            dims.push(d);
        }
        let want = count
            .checked_mul(size)
            .ok_or_else(|| fail("extents overflow".to_owned()))?;
        let bytes = match (&proto.raw_data, bits) {
            (Some(raw), Some(bits)) => packed::unpack(raw, bits, packed::is_signed(dtype), count),
            (Some(raw), None) => raw.clone(),
            // A byte of packed elements in each field.
            (None, Some(bits)) => {
                let packed: Vec<u8> = proto.int32_data.iter().map(|&v| v as u8).collect();
                packed::unpack(&packed, bits, packed::is_signed(dtype), count)
            }
            (None, None) => typed_bytes(proto, dtype).into(),
        };
        if bytes.len() != want {
            return Err(fail(format!(
                "{} bytes for {dims:?} of {}, {want} expected",
                bytes.len(),
                dtype.as_str_name()
            )));
        }
        Ok(Self { dims, dtype, bytes })
    }

    /// A message with this tensor's values in `raw_data`.
    pub fn to_proto(&self, name: &str) -> TensorProto {
        TensorProto {
            dims: self.dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(self.dtype as i32),
            name: Some(name.to_owned()),
            raw_data: Some(match bits_below_a_byte(self.dtype) {
                Some(bits) => packed::pack(&self.bytes, bits),
                None => self.bytes.clone(),
            }),
            ..Default::default()
        }
    }

    /// Puts this tensor's dims and values into an existing message and keeps its name and notes.
    pub fn store(&self, proto: &mut TensorProto) {
        let fresh = self.to_proto(proto.name());
        *proto = TensorProto {
            doc_string: proto.doc_string.take(),
            metadata_props: std::mem::take(&mut proto.metadata_props),
            name: proto.name.take(),
            ..fresh
        };
    }

    /// A one-dimensional int64 tensor.
    pub fn from_i64(values: &[i64]) -> Self {
        Self {
            dims: vec![values.len()],
            dtype: Dtype::Int64,
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// A float32 tensor; `dims` must multiply to `values.len()`.
    pub fn from_f32(dims: Vec<usize>, values: &[f32]) -> Self {
        Self {
            dims,
            dtype: Dtype::Float,
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// The same values in another float type; in float32 for types that hold no floats.
    pub fn cast(self, dtype: Dtype) -> Self {
        let Some(values) = self.to_f32().filter(|_| dtype != self.dtype) else {
            return self;
        };
        let bytes = match dtype {
            Dtype::Float16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            Dtype::Bfloat16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
            Dtype::Double => values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect(),
            _ => return Self::from_f32(self.dims, &values),
        };
        Self {
            dims: self.dims,
            dtype,
            bytes,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the elements are floating-point numbers that [`Tensor::to_f32`] reads.
    pub fn is_float(&self) -> bool {
        matches!(
            self.dtype,
            Dtype::Float | Dtype::Float16 | Dtype::Bfloat16 | Dtype::Double
        )
    }

    /// The values as float32; `None` for other than float16, bfloat16, float32 and float64.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        let bytes = &self.bytes;
        Some(match self.dtype {
            Dtype::Float => chunks(bytes).map(f32::from_le_bytes).collect(),
            Dtype::Double => chunks(bytes).map(|b| f64::from_le_bytes(b) as f32).collect(),
            Dtype::Float16 => chunks(bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::Bfloat16 => chunks(bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
            _ => return None,
        })
    }

    /// The values as numbers (64-bit integers beyond 2⁵³ are rounded); `None` for types that neither [`Tensor::to_f32`] nor
    /// [`Tensor::to_i64`] reads.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        if self.dtype == Dtype::Double {
            return Some(chunks(&self.bytes).map(f64::from_le_bytes).collect());
        }
        match self.to_f32() {
            Some(values) => Some(values.into_iter().map(f64::from).collect()),
            None => Some(self.to_i64()?.into_iter().map(|v| v as f64).collect()),
        }
    }

    /// The values as an array of float32 with this tensor's dims; `None` as in [`Tensor::to_f32`].
    pub fn to_array(&self) -> Option<ArrayD<f32>> {
        ArrayD::from_shape_vec(self.dims.clone(), self.to_f32()?).ok()
    }

    /// The values as int64; `None` for other than integer types and bool.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        let bytes = &self.bytes;
        Some(match self.dtype {
            Dtype::Int64 => chunks(bytes).map(i64::from_le_bytes).collect(),
            Dtype::Int32 => chunks(bytes).map(|b| i32::from_le_bytes(b).into()).collect(),
            Dtype::Uint32 => chunks(bytes).map(|b| u32::from_le_bytes(b).into()).collect(),
            Dtype::Int16 => chunks(bytes).map(|b| i16::from_le_bytes(b).into()).collect(),
            Dtype::Uint16 => chunks(bytes).map(|b| u16::from_le_bytes(b).into()).collect(),
            Dtype::Int8 | Dtype::Int4 | Dtype::Int2 => bytes.iter().map(|&b| i64::from(b as i8)).collect(),
            Dtype::Uint8 | Dtype::Uint4 | Dtype::Uint2 | Dtype::Bool => bytes.iter().map(|&b| b.into()).collect(),
            _ => return None,
        })
    }

    /// The bytes of one element of value `v` in this tensor's dtype.
    fn element(&self, v: f32) -> Vec<u8> {
        match self.dtype {
            Dtype::Float => v.to_le_bytes().to_vec(),
            Dtype::Double => f64::from(v).to_le_bytes().to_vec(),
            Dtype::Float16 => f16::from_f32(v).to_le_bytes().to_vec(),
            Dtype::Bfloat16 => bf16::from_f32(v).to_le_bytes().to_vec(),
            dtype => {
                let size = element_size(dtype).unwrap_or(1);
                (v as i64)
                    .to_le_bytes()
                    .iter()
                    .copied()
                    .chain([0; 8])
                    .take(size)
                    .collect()
            }
        }
    }

    /// Rebuilds `axis` from `sources`: `Some(i)` copies slice `i`, `None` is a slice of `fill`.
    ///
    /// # Errors
    /// When the axis or an index is out of range.
    pub fn rebuild_axis(&self, axis: usize, sources: &[Option<usize>], fill: f32) -> Result<Self> {
        self.rebuilt(axis, sources, Blank::Value(fill))
    }

    /// The same, where `None` is a copy of the first slice of `blank`, which has as many elements in each slice.
    ///
    /// # Errors
    /// When the axis or an index is out of range, or `blank` does not fit.
    pub fn rebuild_axis_like(&self, axis: usize, sources: &[Option<usize>], blank: &Self) -> Result<Self> {
        let around = |t: &Self| {
            t.dims
                .iter()
                .enumerate()
                .filter(|(a, _)| *a != axis)
                .map(|(_, &n)| n)
                .collect()
        };
        let (own, other): (Vec<usize>, Vec<usize>) = (around(self), around(blank));
        if own != other || blank.dtype != self.dtype || blank.is_empty() {
            return Err(Error::Plan(format!("{:?} do not fit {:?}", blank.dims, self.dims)));
        }
        self.rebuilt(axis, sources, Blank::Like(blank))
    }

    fn rebuilt(&self, axis: usize, sources: &[Option<usize>], blank: Blank) -> Result<Self> {
        let dim = *self
            .dims
            .get(axis)
            .ok_or_else(|| Error::Plan(format!("no axis {axis} in {:?}", self.dims)))?;
        if let Some(bad) = sources.iter().flatten().find(|&&i| i >= dim) {
            return Err(Error::Plan(format!("index {bad} past extent {dim}")));
        }
        let size = self.element(0.0).len();
        let inner: usize = self.dims[axis + 1..].iter().product::<usize>() * size;
        let outer: usize = self.dims[..axis].iter().product();
        let filled = match blank {
            Blank::Value(fill) => self.element(fill).repeat(inner / size),
            Blank::Like(_) => Vec::new(),
        };
        let mut bytes = Vec::with_capacity(outer * inner * sources.len());
        for o in 0..outer {
            let row = &self.bytes[o * dim * inner..(o + 1) * dim * inner];
            let blank = match blank {
                Blank::Value(_) => &filled,
                Blank::Like(tensor) => &tensor.bytes[o * tensor.dims[axis] * inner..][..inner],
            };
            for source in sources {
                match source {
                    Some(i) => bytes.extend_from_slice(&row[i * inner..(i + 1) * inner]),
                    None => bytes.extend_from_slice(blank),
                }
            }
        }
        let mut dims = self.dims.clone();
        dims[axis] = sources.len();
        Ok(Self {
            dims,
            dtype: self.dtype,
            bytes: bytes.into(),
        })
    }
}

/// What new elements hold.
#[derive(Clone, Copy)]
enum Blank<'t> {
    /// A number.
    Value(f32),
    /// The first slice of a tensor.
    Like(&'t Tensor),
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::{Dtype, Tensor, TensorProto};

    #[test]
    fn elements_below_a_byte_are_read_from_typed_fields_too() -> crate::Result<()> {
        let mut proto = TensorProto {
            dims: vec![3],
            data_type: Some(Dtype::Int4 as i32),
            int32_data: vec![0x8f, 0x07],
            ..Default::default()
        };
        assert_eq!(Tensor::read(&proto)?.to_i64(), Some(vec![-1, -8, 7]));
        proto.int32_data.push(1);
        assert!(Tensor::read(&proto).is_err(), "a byte too many");
        Ok(())
    }
}
