//! Channels whose value is one known number everywhere, followed through the graph.

use std::collections::HashMap;

use crate::channels::Analysis;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph, Tensor};

/// The number that each index of axis 1 holds at every place, where it is known.
pub(super) type Levels = Vec<Option<f32>>;

/// Known levels by value name.
pub(super) fn constant_levels(graph: &Graph, analysis: &Analysis) -> HashMap<String, Levels> {
    let mut known: HashMap<String, Levels> = HashMap::new();
    for node in &graph.proto.node {
        let Some(output) = node.output.first() else {
            continue;
        };
        let co = &analysis.dependencies;
        let dims = |name: Option<&String>| name.and_then(|n| co.by_name(n)).map(|id| co.dims(id).to_vec());
        let (Some(dx), Some(dy)) = (dims(node.input.first()), dims(Some(output))) else {
            continue;
        };
        let (Some(&cin), Some(&cout)) = (dx.get(1), dy.get(1)) else {
            continue;
        };
        let input = |i: usize| -> Levels {
            let found = node.input.get(i).and_then(|n| known.get(n));
            found.cloned().unwrap_or_else(|| vec![None; cin])
        };
        let level = follow(graph, node, &input, (&dx, &dy));
        if let Some(level) = level.filter(|l| l.len() == cout && l.iter().any(Option::is_some)) {
            known.insert(output.clone(), level);
        }
    }
    known
}

fn follow(
    graph: &Graph,
    node: &NodeProto,
    input: &dyn Fn(usize) -> Levels,
    (dx, dy): (&[usize], &[usize]),
) -> Option<Levels> {
    let constant = |i: usize| node.input.get(i).and_then(|n| graph.stored(n));
    let each = |f: &dyn Fn(f32) -> f32| Some(input(0).iter().map(|l| l.map(f)).collect::<Levels>());
    let scalar = |i: usize, default: f32| match node.input.get(i).filter(|n| !n.is_empty()) {
        None => Some(default),
        Some(name) => graph.stored(name)?.to_f32()?.first().copied(),
    };
    match node.op_type() {
        "Conv" => conv(&constant(1)?, constant(2), node, &input(0)),
        "BatchNormalization" => {
            let p: Vec<Vec<f32>> = (1..5).map(|i| constant(i)?.to_f32()).collect::<Option<_>>()?;
            let epsilon = node.float("epsilon", 1e-5);
            let one = |(c, l): (usize, &Option<f32>)| {
                let slope = p[0][c] / (p[3][c] + epsilon).sqrt();
                if slope == 0.0 {
                    Some(p[1][c])
                } else {
                    l.map(|v| (v - p[2][c]) * slope + p[1][c])
                }
            };
            Some(input(0).iter().enumerate().map(one).collect())
        }
        "Relu" => each(&|v| v.max(0.0)),
        "LeakyRelu" => {
            let alpha = node.float("alpha", 0.01);
            each(&move |v| if v < 0.0 { alpha * v } else { v })
        }
        "Clip" => {
            let low = node.attr("min").and_then(|a| a.f).or_else(|| scalar(1, f32::MIN))?;
            let high = node.attr("max").and_then(|a| a.f).or_else(|| scalar(2, f32::MAX))?;
            each(&move |v| v.max(low).min(high))
        }
        "HardSwish" => each(&|v| v * ((v + 3.0) / 6.0).clamp(0.0, 1.0)),
        "Sigmoid" => each(&|v| 1.0 / (1.0 + (-v).exp())),
        "Identity" | "Dropout" | "GlobalAveragePool" | "GlobalMaxPool" | "MaxPool" | "Resize" => each(&|v| v),
        "AveragePool" => Some(input(0).into_iter().map(|l| l.filter(|&v| v == 0.0)).collect()),
        "Add" => pairwise(&sides(graph, node, input, dx), |a, b| Some(a? + b?)),
        "Mul" => pairwise(&sides(graph, node, input, dx), |a, b| match (a, b) {
            (Some(0.0), _) | (_, Some(0.0)) => Some(0.0),
            (a, b) => Some(a? * b?),
        }),
        "Concat" if node.int("axis", 0) == 1 || node.int("axis", 0) == 1 - dy.len() as i64 => concat(node, input, dy),
        "Flatten" if node.int("axis", 1) == 1 && dy.len() == 2 => {
            let places: usize = dx[2..].iter().product();
            Some(
                input(0)
                    .into_iter()
                    .flat_map(|l| std::iter::repeat_n(l, places))
                    .collect(),
            )
        }
        _ => None,
    }
}

/// A channel whose weights are all zero holds its bias; a depthwise one also where its input is zero.
fn conv(weights: &Tensor, bias: Option<Tensor>, node: &NodeProto, input: &Levels) -> Option<Levels> {
    let values = weights.to_f32()?;
    let outputs = *weights.dims.first()?;
    let row = values.len() / outputs.max(1);
    let bias = match node.input.get(2).filter(|n| !n.is_empty()) {
        Some(_) => bias?.to_f32()?,
        None => vec![0.0; outputs],
    };
    let groups = node.int("group", 1) as usize;
    let depthwise = groups == input.len() && groups > 1;
    let multiplier = outputs / groups.max(1);
    let one = |o: usize| {
        let blank = values[o * row..(o + 1) * row].iter().all(|&w| w == 0.0);
        let fed_zero = depthwise && input.get(o / multiplier.max(1)).copied().flatten() == Some(0.0);
        (blank || fed_zero).then(|| bias.get(o).copied()).flatten()
    };
    Some((0..outputs).map(one).collect())
}

/// Both operands as levels of axis 1; a constant operand of shape C×1×1, 1×C×1×1 or one element counts.
fn sides(graph: &Graph, node: &NodeProto, input: &dyn Fn(usize) -> Levels, dx: &[usize]) -> [Levels; 2] {
    [0, 1].map(|i| {
        let Some(tensor) = node.input.get(i).and_then(|n| graph.stored(n)) else {
            return input(i);
        };
        let (Some(values), width) = (tensor.to_f32(), dx[1]) else {
            return input(i);
        };
        let before_last = dx.len() - 2;
        let channelwise = tensor.dims.iter().rev().take(before_last).all(|&d| d == 1)
            && tensor.dims.iter().rev().nth(before_last) == Some(&width);
        if values.len() == 1 {
            vec![Some(values[0]); width]
        } else if channelwise && values.len() == width {
            values.into_iter().map(Some).collect()
        } else {
            vec![None; width]
        }
    })
}

fn pairwise(sides: &[Levels; 2], f: impl Fn(Option<f32>, Option<f32>) -> Option<f32>) -> Option<Levels> {
    (sides[0].len() == sides[1].len()).then(|| sides[0].iter().zip(&sides[1]).map(|(&a, &b)| f(a, b)).collect())
}

/// Parts with unknown width (`input` pads unknown values to the first input's width) are not followed.
fn concat(node: &NodeProto, input: &dyn Fn(usize) -> Levels, dy: &[usize]) -> Option<Levels> {
    let all: Levels = (0..node.input.len()).flat_map(input).collect();
    (all.len() == dy[1]).then_some(all)
}
