//! Which places of a map one place of another is computed from: what lets single places be computed as rows of a matrix product.

use super::local::Local;
use crate::channels::Shapes;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Dtype, Graph};
use crate::ops::{ConvSpec, Direction, Padding};

/// The places that a node reads for each place that it makes, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Taps {
    /// Rows and columns of what is read.
    pub from: [usize; 2],
    /// Rows and columns of what is made.
    pub to: [usize; 2],
    pub kernel: [usize; 2],
    pub strides: [usize; 2],
    pub dilations: [usize; 2],
    /// Padding before.
    pub before: [usize; 2],
    /// Places that one place read becomes.
    pub up: [usize; 2],
}

/// What is read where a tap lies outside of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outside {
    /// The row of zeros behind the map.
    Zeros,
    /// A tap that lies inside.
    Inside,
}

impl Taps {
    /// The place itself.
    pub(super) fn same([rows, columns]: [usize; 2]) -> Self {
        Self {
            from: [rows, columns],
            to: [rows, columns],
            kernel: [1; 2],
            strides: [1; 2],
            dilations: [1; 2],
            before: [0; 2],
            up: [1; 2],
        }
    }

    /// What a node reads of its maps; `None` of one that is not computed by places.
    pub(super) fn of(graph: &Graph, shapes: &Shapes, local: &Local) -> Option<Self> {
        let node = graph.proto.node.get(local.node)?;
        let plane = |name: &str| super::local::map_dims(shapes, name).map(|[_, h, w]| [h, w]);
        let (from, to) = (plane(local.maps.first()?)?, plane(node.output.first()?)?);
        match node.op_type() {
            "Conv" => {
                let weights = graph.stored(node.input.get(1)?).filter(|w| w.dtype == Dtype::Float)?;
                let &[outputs, each, rows, columns] = weights.dims.as_slice() else {
                    return None;
                };
                let spec = ConvSpec::of(node, &[rows, columns], Direction::Forward)?;
                let depthwise = each == 1 && spec.groups == outputs;
                let sound = (spec.groups == 1 || depthwise) && local.maps.len() == 1;
                sound.then(|| Self::slid(&spec, from, to)).flatten()
            }
            "MaxPool" => {
                let kernel: Vec<usize> = node
                    .ints("kernel_shape")?
                    .iter()
                    .map(|&k| usize::try_from(k).ok())
                    .collect::<Option<_>>()?;
                let spec = ConvSpec::of(node, &kernel, Direction::Forward)?;
                (kernel.len() == 2).then(|| Self::slid(&spec, from, to)).flatten()
            }
            "Resize" => repeats(node).then(|| Self {
                to,
                up: [to[0] / from[0].max(1), to[1] / from[1].max(1)],
                ..Self::same(from)
            }),
            "ConvTranspose" | "AveragePool" | "SpaceToDepth" | "DepthToSpace" | "Slice" | "Upsample" => None,
            "Split" if node.output.iter().any(String::is_empty) => None,
            _ => (from == to).then(|| Self::same(from)),
        }
    }

    fn slid(spec: &ConvSpec, from: [usize; 2], to: [usize; 2]) -> Option<Self> {
        let pair = |list: &[usize]| Some([*list.first()?, *list.get(1)?]);
        let Padding::Explicit { begin, .. } = &spec.padding else {
            return None;
        };
        let taps = Self {
            from,
            to,
            kernel: pair(&spec.kernel)?,
            strides: pair(&spec.strides)?,
            dilations: pair(&spec.dilations)?,
            before: pair(begin)?,
            up: [1; 2],
        };
        // Windows that see nothing of the map have no place inside.
        let seen = |a: usize| taps.before[a] < taps.span(a) && (to[a] - 1) * taps.strides[a] < from[a] + taps.before[a];
        (seen(0) && seen(1)).then_some(taps)
    }

    /// Whether a place is computed from itself.
    pub(super) fn is_same(&self) -> bool {
        *self == Self::same(self.from)
    }

    /// Whether what is made has the places of what is read, each among those that it is made from.
    pub(super) fn stays(&self) -> bool {
        self.from == self.to
            && self.strides == [1; 2]
            && self.up == [1; 2]
            && (0..2).all(|a| self.before[a] < self.span(a))
    }

    /// The same and all places around that far in what is made, without gaps.
    pub(super) fn widened(&self, around: [(usize, usize); 2]) -> Self {
        let far = |a: usize| self.strides[a] * around[a].0;
        Self {
            kernel: [0, 1].map(|a| self.span(a) + far(a) + self.strides[a] * around[a].1),
            dilations: [1; 2],
            before: [0, 1].map(|a| self.before[a] + far(a)),
            ..*self
        }
    }

    /// Taps of a place.
    pub(super) fn count(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Places from the first tap along an axis to the last.
    pub(super) fn span(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    /// Padding behind, as the extents want it.
    pub(super) fn behind(&self, axis: usize) -> usize {
        let end = (self.to[axis] - 1) * self.strides[axis] + self.span(axis);
        end.saturating_sub(self.from[axis] + self.before[axis])
    }

    /// For every place that is made those that it reads: places × taps.
    pub(super) fn table(&self, outside: Outside) -> Vec<i64> {
        let [rows, columns] = self.from;
        let zeros = (rows * columns) as i64;
        let along = |a: usize, o: usize| -> Vec<Option<usize>> {
            let at = |k: usize| (o / self.up[a] * self.strides[a] + k * self.dilations[a]).checked_sub(self.before[a]);
            (0..self.kernel[a])
                .map(|k| at(k).filter(|&i| i < self.from[a]))
                .collect()
        };
        let mut table = Vec::with_capacity(self.to[0] * self.to[1] * self.count());
        for r in 0..self.to[0] {
            let down = along(0, r);
            for c in 0..self.to[1] {
                let across = along(1, c);
                let start = table.len();
                for y in &down {
                    table.extend(across.iter().map(|x| match (y, x) {
                        (Some(y), Some(x)) => (y * columns + x) as i64,
                        _ => zeros,
                    }));
                }
                if outside == Outside::Inside {
                    let own = table.get_mut(start..).unwrap_or_default();
                    let inside = own.iter().copied().find(|&i| i != zeros).unwrap_or(zeros);
                    own.iter_mut().filter(|i| **i == zeros).for_each(|i| *i = inside);
                }
            }
        }
        table
    }
}

/// Whether a `Resize` by whole factors repeats each place.
fn repeats(node: &NodeProto) -> bool {
    let coordinates = node.text("coordinate_transformation_mode", "half_pixel");
    let nearest = node.text("nearest_mode", "round_prefer_floor");
    node.text("mode", "nearest") == "nearest"
        && match coordinates.as_str() {
            // The middle of a place made lies less than half a place from the middle of the one that is read.
            "half_pixel" | "half_pixel_symmetric" => {
                matches!(nearest.as_str(), "round_prefer_floor" | "round_prefer_ceil")
            }
            "asymmetric" => nearest == "floor",
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::{Outside, Taps};

    #[test]
    fn taps_outside_are_the_row_behind_the_map_or_one_inside() {
        let taps = Taps {
            from: [2, 3],
            to: [2, 3],
            kernel: [3, 3],
            strides: [1; 2],
            dilations: [1; 2],
            before: [1; 2],
            up: [1; 2],
        };
        let table = taps.table(Outside::Zeros);
        assert_eq!(table[..9], [6, 6, 6, 6, 0, 1, 6, 3, 4]);
        assert_eq!(table[36..45], [0, 1, 2, 3, 4, 5, 6, 6, 6]);
        assert_eq!(taps.table(Outside::Inside)[..9], [0, 0, 0, 0, 0, 1, 0, 3, 4]);
        assert_eq!([taps.behind(0), taps.behind(1), taps.span(0)], [1, 1, 3]);
        let halved = Taps {
            to: [1, 2],
            kernel: [1, 1],
            strides: [2; 2],
            before: [0; 2],
            ..taps
        };
        assert_eq!(halved.table(Outside::Zeros), [0, 2]);
        let doubled = Taps {
            to: [4, 6],
            up: [2; 2],
            ..Taps::same([2, 3])
        };
        assert_eq!(
            doubled.table(Outside::Zeros)[..12],
            [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]
        );
        assert!(Taps::same([2, 3]).is_same() && !doubled.is_same());
    }
}
