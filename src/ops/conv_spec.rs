//! The geometry of a convolution or a pool: how a window slides over the spatial axes.

use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

/// Which side of the window is the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// An output position sums over the input positions of its window.
    Forward,
    /// An input position adds to the output positions of its window (`ConvTranspose`).
    Transposed,
}

/// Zeros around the input (of a transposed convolution: what is cut off the output).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Rows before and behind, by spatial axis.
    Explicit {
        /// Rows before the first.
        begin: Vec<usize>,
        /// Rows behind the last.
        end: Vec<usize>,
    },
    /// `SAME_UPPER`: as many as keep the size but for strides, an odd one behind.
    SameUpper,
    /// `SAME_LOWER`: an odd one before.
    SameLower,
}

/// Kernel, strides, dilations, padding and groups of a convolution (or a pool, with one group), by spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    /// Size of the kernel.
    pub kernel: Vec<usize>,
    /// Steps between windows.
    pub strides: Vec<usize>,
    /// Steps between the taps of a window.
    pub dilations: Vec<usize>,
    /// Zeros around the input.
    pub padding: Padding,
    /// Rows that a transposed convolution makes more at the end.
    pub output_padding: Vec<usize>,
    /// Groups that the channels are split into.
    pub groups: usize,
    /// Convolution or transposed convolution.
    pub direction: Direction,
}

/// The attribute `group` of a convolution, 1 by default; `None` where it is not positive.
pub fn groups(node: &NodeProto) -> Option<usize> {
    usize::try_from(node.int("group", 1)).ok().filter(|&g| g > 0)
}

impl ConvSpec {
    /// The geometry of a node whose weights have this kernel; `None` for negative or missing numbers, zero strides, and
    /// transposed convolutions whose padding follows from their output (`auto_pad`, `output_shape`).
    pub fn of(node: &NodeProto, kernel: &[usize], direction: Direction) -> Option<Self> {
        let auto_pad = node.text("auto_pad", "NOTSET");
        Self::from_lists(kernel, &|name| node.ints(name), &auto_pad, groups(node)?, direction)
    }

    /// As [`ConvSpec::of`], from attributes wherever they are kept.
    pub fn from_lists(
        kernel: &[usize],
        list: &dyn Fn(&str) -> Option<Vec<i64>>,
        auto_pad: &str,
        groups: usize,
        direction: Direction,
    ) -> Option<Self> {
        let rank = kernel.len();
        let sizes = |name: &str, count: usize, default: usize| -> Option<Vec<usize>> {
            let Some(list) = list(name).filter(|l| !l.is_empty()) else {
                return Some(vec![default; count]);
            };
            let sizes: Vec<usize> = list.iter().map(|&v| usize::try_from(v).ok()).collect::<Option<_>>()?;
            (sizes.len() == count).then_some(sizes)
        };
        let padding = match auto_pad {
            "NOTSET" | "" => {
                let mut begin = sizes("pads", 2 * rank, 0)?;
                let end = begin.split_off(rank);
                Padding::Explicit { begin, end }
            }
            "VALID" => Padding::Explicit {
                begin: vec![0; rank],
                end: vec![0; rank],
            },
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            _ => return None,
        };
        let explicit = matches!(padding, Padding::Explicit { .. }) && list("output_shape").is_none_or(|l| l.is_empty());
        if direction == Direction::Transposed && !explicit {
            return None;
        }
        let spec = Self {
            kernel: kernel.to_vec(),
            strides: sizes("strides", rank, 1)?,
            dilations: sizes("dilations", rank, 1)?,
            padding,
            output_padding: sizes("output_padding", rank, 0)?,
            groups,
            direction,
        };
        (!spec.strides.contains(&0) && !kernel.contains(&0)).then_some(spec)
    }

    /// Number of spatial axes.
    pub fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// Weights that one output has for one input channel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Multiply-accumulates for so many channels, over all groups, and positions: of the output, of a transposed convolution
    /// those of the input.
    pub fn macs(&self, inputs: usize, outputs: usize, positions: usize) -> u64 {
        let weights = outputs as u64 * (inputs / self.groups) as u64 * self.taps() as u64;
        weights * positions as u64
    }

    /// Rows that one window covers on a spatial axis.
    pub fn span(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1)
            .saturating_mul(self.dilations[axis])
            .saturating_add(1)
    }

    /// Whether there are zeros around the input, or may be.
    pub fn is_padded(&self) -> bool {
        match &self.padding {
            Padding::Explicit { begin, end } => begin.iter().chain(end).any(|&p| p > 0),
            Padding::SameUpper | Padding::SameLower => true,
        }
    }

    /// Rows of padding before and behind a spatial axis of `size` rows.
    pub fn pads(&self, axis: usize, size: usize) -> [usize; 2] {
        let same = || {
            let stride = self.strides[axis];
            let outputs = size.div_ceil(stride);
            (outputs.saturating_sub(1) * stride)
                .saturating_add(self.span(axis))
                .saturating_sub(size)
        };
        match &self.padding {
            Padding::Explicit { begin, end } => [begin[axis], end[axis]],
            Padding::SameUpper => [same() / 2, same().div_ceil(2)],
            Padding::SameLower => [same().div_ceil(2), same() / 2],
        }
    }

    /// The output's size for `size` rows of a spatial axis; `None` where the window does not fit.
    pub fn output_size(&self, axis: usize, size: usize) -> Option<usize> {
        let (stride, span) = (self.strides[axis], self.span(axis));
        let [begin, end] = self.pads(axis, size);
        let padded = begin.saturating_add(end);
        match (self.direction, &self.padding) {
            (Direction::Transposed, _) => {
                let spread = size.checked_sub(1)?.saturating_mul(stride).saturating_add(span);
                spread.saturating_add(self.output_padding[axis]).checked_sub(padded)
            }
            (Direction::Forward, Padding::Explicit { .. }) => {
                Some(size.saturating_add(padded).checked_sub(span)? / stride + 1)
            }
            (Direction::Forward, _) => Some(size.div_ceil(stride)),
        }
    }

    /// The output's spatial shape for an input's; `None` where it does not fit.
    pub fn output_shape(&self, input: &[usize]) -> Option<Vec<usize>> {
        let all = input.iter().enumerate();
        (input.len() == self.rank()).then(|| all.map(|(axis, &size)| self.output_size(axis, size)).collect())?
    }

    /// The row of an input of `size` rows that tap `tap` of output position `at` reads on a spatial axis; `None` in the padding
    /// and between the rows of a transposed convolution.
    pub fn input_index(&self, axis: usize, size: usize, at: usize, tap: usize) -> Option<usize> {
        let (stride, reach) = (self.strides[axis], tap * self.dilations[axis]);
        let begin = self.pads(axis, size)[0];
        let index = match self.direction {
            Direction::Forward => (at * stride + reach).checked_sub(begin)?,
            Direction::Transposed => {
                let spread = (at + begin).checked_sub(reach)?;
                spread.is_multiple_of(stride).then_some(spread / stride)?
            }
        };
        (index < size).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConvSpec, Direction};

    fn spec(lists: &[(&str, &[i64])], auto_pad: &str, direction: Direction) -> Option<ConvSpec> {
        let list = |name: &str| lists.iter().find(|l| l.0 == name).map(|l| l.1.to_vec());
        ConvSpec::from_lists(&[3], &list, auto_pad, 1, direction)
    }

    #[test]
    fn sizes_follow_strides_dilations_and_pads() {
        let of = |lists: &[(&str, &[i64])], auto_pad: &str| spec(lists, auto_pad, Direction::Forward);
        let size = |s: Option<ConvSpec>, n: usize| s.and_then(|s| s.output_shape(&[n]));
        assert_eq!(size(of(&[], ""), 7), Some(vec![5]));
        assert_eq!(
            size(of(&[("strides", &[2]), ("pads", &[1, 0])], "NOTSET"), 7),
            Some(vec![3])
        );
        assert_eq!(size(of(&[("dilations", &[3])], "VALID"), 7), Some(vec![1]));
        assert_eq!(size(of(&[("strides", &[2])], "SAME_UPPER"), 7), Some(vec![4]));
        assert_eq!(size(of(&[], ""), 2), None);
        assert_eq!(
            of(&[("strides", &[2])], "SAME_LOWER").map(|s| s.pads(0, 6)),
            Some([1, 0])
        );
        let more = spec(
            &[("strides", &[2]), ("output_padding", &[1])],
            "",
            Direction::Transposed,
        );
        assert_eq!(size(more, 4), Some(vec![10]));
    }

    #[test]
    fn what_is_not_followed_is_refused() {
        let refused = |lists: &[(&str, &[i64])], auto_pad: &str, d| assert_eq!(spec(lists, auto_pad, d), None);
        refused(&[("pads", &[-1, 0])], "", Direction::Forward);
        refused(&[("strides", &[0])], "", Direction::Forward);
        refused(&[("strides", &[1, 1])], "", Direction::Forward);
        refused(&[], "SAME_UPPER", Direction::Transposed);
        refused(&[("output_shape", &[9])], "", Direction::Transposed);
    }
}
