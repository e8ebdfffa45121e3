//! Operators whose outputs at a place depend on their inputs near that place, and on nothing else that varies.

use crate::channels::Shapes;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph, Tensor};
use crate::ops::{ConvSpec, Direction};

/// Which input places one output place depends on, along an axis: those from `o * down / up - before` to
/// `o * down / up + after`, where the quotient is rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Output places that one input place becomes.
    pub up: i64,
    /// Input places that one output place stands for.
    pub down: i64,
    /// Places before.
    pub before: i64,
    /// Places behind; negative where the last is before the quotient.
    pub after: i64,
}

impl Reach {
    const SAME: Self = Self {
        up: 1,
        down: 1,
        before: 0,
        after: 0,
    };

    /// The input places that the output places from `low` to `high` depend on, as if the input had no ends.
    pub(super) fn needs(self, (low, high): (i64, i64)) -> (i64, i64) {
        let at = |o: i64| (o * self.down).div_euclid(self.up);
        (at(low) - self.before, at(high) + self.after)
    }
}

/// A node that a window of its inputs is enough for.
#[derive(Clone, Debug)]
pub(super) struct Local {
    /// Index of the node.
    pub node: usize,
    /// The values of its inputs that are maps, each once.
    pub maps: Vec<String>,
    /// By spatial axis; the same for all maps.
    pub reach: [Reach; 2],
    /// The scales that a `Resize` gets in place of its sizes.
    pub scales: Option<[i64; 2]>,
}

/// Channels, rows and columns of a value of one sample.
pub(super) fn map_dims(shapes: &Shapes, name: &str) -> Option<[usize; 3]> {
    match shapes.dims.get(name)?.as_slice() {
        &[1, channels, rows, columns] if channels * rows * columns > 0 => Some([channels, rows, columns]),
        _ => None,
    }
}

const UNARY: [&str; 20] = [
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "Tanh",
    "HardSigmoid",
    "HardSwish",
    "Elu",
    "Selu",
    "Celu",
    "Softplus",
    "Softsign",
    "Exp",
    "Abs",
    "Neg",
    "Sqrt",
    "Erf",
    "Identity",
    "Gelu",
    "Mish",
    "ThresholdedRelu",
];
const ELEMENTWISE: [&str; 8] = ["Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu", "Clip"];

impl Local {
    /// The node at an index, if it is one.
    pub(super) fn of(graph: &Graph, shapes: &Shapes, index: usize) -> Option<Self> {
        let node = graph.proto.node.get(index)?;
        let made = node.output.iter().filter(|o| !o.is_empty());
        let outputs: Vec<[usize; 3]> = made.map(|o| map_dims(shapes, o)).collect::<Option<_>>()?;
        let output = *outputs.first()?;
        let maps = maps_of(graph, node)?;
        let dims: Vec<[usize; 3]> = maps.iter().map(|m| map_dims(shapes, m)).collect::<Option<_>>()?;
        let input = *dims.first()?;
        // States are floats, and so is all that is held against them.
        let other = |name: &String| shapes.no_floats.contains(name);
        if maps.iter().any(other) || node.output.iter().any(other) {
            return None;
        }
        if !node.is_standard() || dims.iter().any(|d| d[1..] != input[1..]) {
            return None;
        }
        let local = |reach| Self {
            node: index,
            maps: maps.clone(),
            reach,
            scales: None,
        };
        let op = node.op_type();
        if op == "Resize" || op == "Upsample" {
            return resized(node, input, output).map(|(reach, scales)| Self {
                scales: Some(scales),
                ..local(reach)
            });
        }
        let same = output[1..] == input[1..];
        let reach = match op {
            "Conv" | "ConvTranspose" => convolved(graph, node)?,
            "MaxPool" | "AveragePool" => pooled(node, outputs.len())?,
            "SpaceToDepth" | "DepthToSpace" => blocks(node)?,
            "Slice" => sliced(graph, node, input)?,
            // A constant of a whole map is none of a tile.
            "Concat" if matches!(node.int("axis", 1), 1 | -3) && node.input.iter().all(|i| maps.contains(i)) => {
                [Reach::SAME; 2]
            }
            "Split" if node.int("axis", 0) == 1 || node.int("axis", 0) == -3 => [Reach::SAME; 2],
            "BatchNormalization" if outputs.len() == 1 => [Reach::SAME; 2],
            op if same && UNARY.contains(&op) => [Reach::SAME; 2],
            op if same && ELEMENTWISE.contains(&op) && node.input.iter().all(|i| spreads(graph, i, &maps)) => {
                [Reach::SAME; 2]
            }
            _ => return None,
        };
        Some(local(reach))
    }
}

/// The inputs of a node that are not constant, each once; `None` where there are none.
fn maps_of(graph: &Graph, node: &NodeProto) -> Option<Vec<String>> {
    let mut maps: Vec<String> = Vec::new();
    for name in node.input.iter().filter(|n| !n.is_empty()) {
        let constant = graph.initializers.contains_key(name.as_str()) || graph.stored(name).is_some();
        if !constant && !maps.contains(name) {
            maps.push(name.clone());
        }
    }
    // Scales and sizes that a file computes are replaced.
    if matches!(node.op_type(), "Resize" | "Upsample") {
        maps.truncate(1);
    }
    (!maps.is_empty() && node.input.first() == maps.first() || !maps.is_empty() && node.input.len() > 1).then_some(maps)
}

/// Whether an operand is a map, or the same at all places.
fn spreads(graph: &Graph, name: &str, maps: &[String]) -> bool {
    if name.is_empty() || maps.iter().any(|m| m == name) {
        return true;
    }
    let dims = graph.stored(name).map(|t| t.dims);
    dims.is_some_and(|d| d.len() <= 4 && d.iter().rev().take(2).all(|&n| n == 1))
}

fn convolved(graph: &Graph, node: &NodeProto) -> Option<[Reach; 2]> {
    let weights = graph.stored(node.input.get(1)?).filter(Tensor::is_float)?;
    if weights.dims.len() != 4
        || node
            .input
            .get(2)
            .is_some_and(|b| !b.is_empty() && graph.stored(b).is_none())
    {
        return None;
    }
    let transposed = node.op_type() == "ConvTranspose";
    let direction = if transposed {
        Direction::Transposed
    } else {
        Direction::Forward
    };
    let spec = ConvSpec::of(node, &weights.dims[2..], direction)?;
    if !transposed {
        return windowed(&spec);
    }
    let axis = |a: usize| {
        let (stride, pads) = (spec.strides[a] as i64, spec.pads(a, 0)[0] as i64);
        let span = i64::try_from(spec.span(a)).ok()?;
        // Output o is a sum over the inputs i with 0 <= o + pads - i * stride < span.
        Some(Reach {
            up: stride,
            down: 1,
            before: (span - 1 - pads).max(0).div_euclid(stride) + 1,
            after: pads.div_euclid(stride) + 1,
        })
    };
    Some([axis(0)?, axis(1)?])
}

fn pooled(node: &NodeProto, outputs: usize) -> Option<[Reach; 2]> {
    let kernel = node.ints("kernel_shape")?;
    let kernel: Vec<usize> = kernel.iter().map(|&k| usize::try_from(k).ok()).collect::<Option<_>>()?;
    let spec = ConvSpec::of(node, &kernel, Direction::Forward)?;
    (kernel.len() == 2 && outputs == 1).then(|| windowed(&spec)).flatten()
}

fn windowed(spec: &ConvSpec) -> Option<[Reach; 2]> {
    let axis = |a: usize| {
        let (stride, span) = (spec.strides[a] as i64, i64::try_from(spec.span(a)).ok()?);
        // Where the padding follows from the size, it is at most this on either side.
        let before = match spec.padding {
            crate::ops::Padding::Explicit { .. } => {
                let pads = spec.pads(a, 0).map(|p| p as i64);
                // Windows that see nothing of the map are none of a tile.
                if pads.iter().any(|&p| p >= span) {
                    return None;
                }
                pads[0]
            }
            _ => return Some(around(stride, span)),
        };
        Some(Reach {
            up: 1,
            down: stride,
            before,
            after: span - 1 - before,
        })
    };
    Some([axis(0)?, axis(1)?])
}

fn around(stride: i64, span: i64) -> Reach {
    Reach {
        up: 1,
        down: stride,
        before: span,
        after: span,
    }
}

fn blocks(node: &NodeProto) -> Option<[Reach; 2]> {
    let size = Some(node.int("blocksize", 0)).filter(|&b| b > 0 && b < 1024)?;
    let reach = match node.op_type() {
        "SpaceToDepth" => Reach {
            up: 1,
            down: size,
            before: 0,
            after: size - 1,
        },
        _ => Reach {
            up: size,
            down: 1,
            before: 0,
            after: 0,
        },
    };
    Some([reach; 2])
}

/// A slice of channels, or every so many rows or columns to the end.
fn sliced(graph: &Graph, node: &NodeProto, input: [usize; 3]) -> Option<[Reach; 2]> {
    let list = |at: usize| graph.stored(node.input.get(at)?)?.to_i64();
    let (starts, ends) = (list(1)?, list(2)?);
    let given = |at: usize| node.input.get(at).is_some_and(|n| !n.is_empty());
    let axes = if given(3) {
        list(3)?
    } else {
        (0..starts.len() as i64).collect()
    };
    let steps = if given(4) { list(4)? } else { vec![1; starts.len()] };
    let mut reach = [Reach::SAME; 2];
    for (((axis, start), end), step) in axes.iter().zip(&starts).zip(&ends).zip(&steps) {
        let axis = if *axis < 0 { axis + 4 } else { *axis };
        match axis {
            1 => (),
            2 | 3 => {
                let at = axis as usize - 2;
                let sound = *step >= 1 && (0..*step).contains(start) && *end >= input[at + 1] as i64;
                if !sound {
                    return None;
                }
                reach[at] = Reach {
                    up: 1,
                    down: *step,
                    before: -start,
                    after: *start,
                };
            }
            _ => return None,
        }
    }
    Some(reach)
}

/// Nearest and linear interpolation by whole factors.
fn resized(node: &NodeProto, input: [usize; 3], output: [usize; 3]) -> Option<([Reach; 2], [i64; 2])> {
    let mode = node.text("mode", "nearest");
    let coordinates = node.text("coordinate_transformation_mode", "half_pixel");
    let known = ["half_pixel", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"];
    let sound = matches!(mode.as_str(), "nearest" | "linear") && known.contains(&coordinates.as_str());
    let whole = output[0] == input[0] && (1..3).all(|a| output[a].is_multiple_of(input[a]));
    if node.op_type() == "Upsample"
        || !sound
        || !whole
        || node.int("antialias", 0) != 0
        || node.int("exclude_outside", 0) != 0
    {
        return None;
    }
    let factors = [1, 2].map(|a| (output[a] / input[a]) as i64);
    let reach = factors.map(|up| Reach {
        up,
        down: 1,
        before: 1,
        after: 1,
    });
    Some((reach, factors))
}
