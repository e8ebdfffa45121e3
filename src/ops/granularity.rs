//! How the scales and zero points of a quantized tensor lie over it.

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Tensor};

/// Which elements of a quantized tensor share a scale and a zero point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// All.
    Tensor,
    /// Those of one index of this axis.
    Channel(usize),
    /// So many behind one another on an axis.
    Blocks {
        /// The axis.
        axis: usize,
        /// Elements of a block; the last one may have fewer.
        size: usize,
    },
}

impl Granularity {
    /// Of a `QuantizeLinear` or `DequantizeLinear` on a tensor of shape `dims` with parameters of shape `parameter`; `None` where
    /// they do not fit.
    pub fn of(node: &NodeProto, dims: &[usize], parameter: &[usize]) -> Option<Self> {
        let axis = node.int("axis", 1);
        let axis = usize::try_from(if axis < 0 { axis + dims.len() as i64 } else { axis }).ok()?;
        let size = usize::try_from(node.int("block_size", 0)).ok()?;
        if size == 0 {
            return Self::along(axis, dims, parameter);
        }
        let mut blocks = dims.to_vec();
        *blocks.get_mut(axis)? = dims[axis].div_ceil(size);
        (blocks == parameter).then_some(Self::Blocks { axis, size })
    }

    /// Of an operator whose parameters are one number or go along an axis; `None` where they do not fit.
    pub fn along(axis: usize, dims: &[usize], parameter: &[usize]) -> Option<Self> {
        match parameter.iter().product() {
            1 => Some(Self::Tensor),
            count => (parameter.len() == 1 && dims.get(axis) == Some(&count)).then_some(Self::Channel(axis)),
        }
    }

    /// The axis that parameters go along, if they do.
    pub fn axis(self) -> Option<usize> {
        match self {
            Self::Tensor => None,
            Self::Channel(axis) | Self::Blocks { axis, .. } => Some(axis),
        }
    }

    /// Which parameter holds for element `at` (row-major) of a tensor of shape `dims`.
    pub fn parameter(self, at: usize, dims: &[usize]) -> usize {
        let split = |axis: usize| {
            let inner: usize = dims[axis + 1..].iter().product();
            (at / inner / dims[axis], at / inner % dims[axis], at % inner, inner)
        };
        match self {
            Self::Tensor => 0,
            Self::Channel(axis) => split(axis).1,
            Self::Blocks { axis, size } => {
                let (outer, index, within, inner) = split(axis);
                (outer * dims[axis].div_ceil(size) + index / size) * inner + within
            }
        }
    }

    /// A tensor of shape `dims` with each element's parameter; `None` where there are too few.
    pub fn expand(self, parameters: &Tensor, dims: &[usize]) -> Option<Tensor> {
        let size = parameters.bytes.len().checked_div(parameters.len())?;
        let mut bytes = Vec::with_capacity(size * dims.iter().product::<usize>());
        for at in 0..dims.iter().product() {
            let from = size * self.parameter(at, dims);
            bytes.extend_from_slice(parameters.bytes.get(from..from + size)?);
        }
        Some(Tensor {
            dims: dims.to_vec(),
            dtype: parameters.dtype,
            bytes: bytes.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Granularity;
    use crate::onnx::Tensor;

    #[test]
    fn each_element_has_the_parameter_of_its_channel_or_block() {
        let parameters = Tensor::from_i64(&[1, 2, 3, 4]);
        let of = |g: Granularity, dims: &[usize]| g.expand(&parameters, dims).and_then(|t| t.to_i64());
        assert_eq!(of(Granularity::Tensor, &[2]), Some(vec![1, 1]));
        assert_eq!(of(Granularity::Channel(0), &[2, 2]), Some(vec![1, 1, 2, 2]));
        assert_eq!(of(Granularity::Channel(1), &[2, 2]), Some(vec![1, 2, 1, 2]));
        let rows = Granularity::Blocks { axis: 0, size: 2 };
        assert_eq!(of(rows, &[3, 2]), Some(vec![1, 2, 1, 2, 3, 4]));
        let columns = Granularity::Blocks { axis: 1, size: 2 };
        assert_eq!(of(columns, &[2, 3]), Some(vec![1, 1, 2, 3, 3, 4]));
        assert_eq!(of(Granularity::Channel(0), &[5]), None);
    }
}
