//! One input's samples.

use super::images::Images;
use super::npz::{place, type_name};
use super::numbers::is_handled;
use crate::device::InputSpec;
use crate::error::{OpenAxes, SamplesFault};
use crate::onnx::{Dtype, Tensor};

/// Samples of one input.
#[derive(Clone, Debug)]
pub(super) enum StoredSamples {
    /// As they are, in the input's type, samples along the first axis; and the axis of the input that carries them.
    Values(Tensor, usize),
    /// One value for all samples: of an input without a batch axis.
    Shared(Tensor),
    /// 8-bit images.
    Images(Images),
}

impl StoredSamples {
    /// Samples held; `None` for what all samples share.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Values(t, _) => t.dims.first().copied(),
            Self::Shared(_) => None,
            Self::Images(i) => Some(i.count()),
        }
    }

    /// Only some of the samples.
    pub(super) fn pick(&mut self, picked: &[usize]) {
        match self {
            Self::Values(t, _) => {
                let size = t.bytes.len().checked_div(t.dims[0]).unwrap_or(0);
                let parts = picked.iter().map(|&i| t.bytes.slice(i * size..(i + 1) * size));
                t.bytes = parts
                    .fold(Vec::new(), |mut all, p| {
                        all.extend_from_slice(&p);
                        all
                    })
                    .into();
                t.dims[0] = picked.len();
            }
            Self::Shared(_) => {}
            Self::Images(i) => i.pick(picked),
        }
    }

    /// Numbers that so many samples take.
    pub(super) fn elements(&self, samples: usize) -> usize {
        match self {
            Self::Values(t, _) => t.dims.iter().skip(1).product::<usize>() * samples,
            Self::Shared(t) => t.len(),
            Self::Images(i) => i.elements() * samples,
        }
    }

    /// Samples `from..to` as the input of `spec` takes them.
    pub(super) fn part(&self, from: usize, to: usize, rank: usize) -> Tensor {
        match self {
            Self::Shared(t) => t.clone(),
            Self::Images(i) => i.part(from, to),
            Self::Values(t, axis) => {
                let size = t.bytes.len().checked_div(t.dims[0]).unwrap_or(0);
                let mut dims = t.dims.clone();
                dims[0] = to - from;
                // One number a sample, of an input that is a single number.
                dims.truncate(rank);
                let part = Tensor {
                    dims,
                    dtype: t.dtype,
                    bytes: t.bytes.slice(from * size..to * size),
                };
                moved(part, *axis)
            }
        }
    }

    /// Whether samples have an input's type and extents, but for the first axis.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn fits(&self, spec: &InputSpec) -> Result<(), SamplesFault> {
        if !is_handled(spec.dtype) {
            return Err(SamplesFault::Contents(format!(
                "input '{}' takes {}, which samples cannot be given for",
                spec.name,
                type_name(spec.dtype)
            )));
        }
        let shape = match self {
            Self::Values(t, 0) => t.dims.clone(),
            Self::Values(..) => return Ok(()),
            Self::Shared(t) if t.dims == spec.dims => return Ok(()),
            Self::Shared(t) => t.dims.clone(),
            Self::Images(i) => i.shape(),
        };
        let number = spec.dims.is_empty() && shape.len() == 1;
        let alike = shape.len() == spec.dims.len() && !shape.is_empty() && shape[1..] == spec.dims[1..];
        if alike || number {
            return Ok(());
        }
        let behind = !spec.open.contains(&0) && !spec.open.is_empty();
        Err(SamplesFault::Shape {
            input: spec.name.clone(),
            shape,
            dims: spec.dims.clone(),
            open: match (behind, spec.open.iter().any(|&axis| axis > 0)) {
                (true, _) => OpenAxes::BatchBehind,
                (false, true) => OpenAxes::BehindBatch,
                (false, false) => OpenAxes::Fixed,
            },
        })
    }

    /// The first value that is NaN or infinite: its sample, where it stands, and what it is.
    pub(super) fn not_finite(&self) -> Option<String> {
        let (Self::Values(t, _) | Self::Shared(t)) = self else {
            return None;
        };
        if !matches!(t.dtype, Dtype::Float | Dtype::Double | Dtype::Float16 | Dtype::Bfloat16) {
            return None;
        }
        // Some values at a time, so that no second copy of all is made.
        const STEP: usize = 1 << 16;
        let size = t.bytes.len().checked_div(t.len()).unwrap_or(1).max(1);
        for (k, chunk) in t.bytes.chunks(STEP * size).enumerate() {
            let part = Tensor {
                dims: vec![chunk.len() / size],
                dtype: t.dtype,
                bytes: t.bytes.slice_ref(chunk),
            };
            let values = part.numbers().unwrap_or_default();
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                let index = place(k * STEP + at, &t.dims);
                let sample = index.first().copied().unwrap_or(0);
                return Some(format!("sample {sample} holds {} (at {index:?})", values[at]));
            }
        }
        None
    }
}

/// The open axis behind the first one that carries the batch of an input, if samples of extents `shape` are given without it: S×(the
/// other extents).
pub(super) fn axis_behind(shape: &[usize], spec: &InputSpec) -> Option<usize> {
    let fits = |axis: usize| {
        let others = spec
            .dims
            .iter()
            .enumerate()
            .filter(|(a, _)| *a != axis)
            .map(|(_, &d)| d);
        shape.len() == spec.dims.len() && shape.iter().skip(1).copied().eq(others)
    };
    let plain = spec.open.contains(&0) || shape.get(1..) == spec.dims.get(1..);
    spec.open.iter().copied().find(|&axis| axis > 0 && !plain && fits(axis))
}

/// A tensor whose first axis becomes axis `to`.
fn moved(tensor: Tensor, to: usize) -> Tensor {
    if to == 0 || to >= tensor.dims.len() {
        return tensor;
    }
    let mut dims: Vec<usize> = tensor.dims[1..].to_vec();
    dims.insert(to, tensor.dims[0]);
    let (count, outer): (usize, usize) = (tensor.dims[0], dims[..to].iter().product());
    let inner = tensor.bytes.len().checked_div(count * outer).unwrap_or(0);
    let mut bytes = Vec::with_capacity(tensor.bytes.len());
    for o in 0..outer {
        for n in 0..count {
            let at = (n * outer + o) * inner;
            bytes.extend_from_slice(&tensor.bytes[at..at + inner]);
        }
    }
    Tensor {
        dims,
        dtype: tensor.dtype,
        bytes: bytes.into(),
    }
}
