//! What quantizers see on samples.

use std::collections::{HashMap, HashSet};

use super::histogram::{Histogram, Reach};
use super::method::CalibrationMethod;
use super::quantizers::{Ends, Quantizer, SharedScale};
use crate::device::{Executor, NamedTensor};
use crate::onnx::proto::{ModelProto, NodeProto};
use crate::onnx::{Dtype, Tensor, encode, named_value};
use crate::{Error, Result};

/// The inputs of runs.
pub(super) type Runs<'r> = Box<dyn Iterator<Item = Vec<NamedTensor>> + 'r>;

/// An end that cuts off more than this share of the values is part of what the network computes.
const CUTS: f64 = 1e-3;

/// Which ends of the quantizers of a model cut values off, by the names of the integers that they make. An end at zero that cuts anything off
/// counts: no range of float values ends there by chance.
pub(super) fn ends(
    device: &dyn Executor,
    model: &ModelProto,
    scales: &[SharedScale],
    runs: &mut dyn Iterator<Item = Vec<NamedTensor>>,
) -> Result<HashMap<String, Ends>> {
    #[derive(Default)]
    struct Seen {
        below: u64,
        above: u64,
        all: u64,
    }
    let mut all: Vec<(&Quantizer, &SharedScale, Seen)> = Vec::new();
    for shared in scales {
        all.extend(shared.quantizers.iter().map(|q| (q, shared, Seen::default())));
    }
    each_value(device, &shown(model, scales, None)?, runs, &mut |name, values| {
        for (_, shared, seen) in all.iter_mut().filter(|(q, ..)| q.input == name) {
            let ((low, high), scale) = (shared.range(), shared.scale);
            for v in values {
                seen.below += u64::from(*v < low - 0.5 * scale);
                seen.above += u64::from(*v > high + 0.5 * scale);
            }
            seen.all += values.len() as u64;
        }
    })?;
    let cuts = |count: u64, all: u64, end: f32| count > 0 && (end == 0.0 || count as f64 > CUTS * all as f64);
    let each = all.into_iter().map(|(quantizer, shared, seen)| {
        let (low, high) = shared.range();
        let ends = Ends {
            low: cuts(seen.below, seen.all, low),
            high: cuts(seen.above, seen.all, high),
        };
        (quantizer.output.clone(), ends)
    });
    Ok(each.collect())
}

/// The range that each scale should reach, by a method; `None` where nothing was seen. Activations are floats on the way, cut off where the
/// ends are.
pub(super) fn observed<'r>(
    device: &dyn Executor,
    model: &ModelProto,
    (scales, cut): (&[SharedScale], &[Ends]),
    method: CalibrationMethod,
    runs: &dyn Fn() -> Runs<'r>,
) -> Result<Vec<Option<Reach>>> {
    let shown = shown(model, scales, Some(cut))?;
    let reads = |shared: &SharedScale, name: &str| shared.quantizers.iter().any(|q| q.input == name);
    let mut reaches: Vec<Option<Reach>> = vec![None; scales.len()];
    each_value(device, &shown, &mut runs(), &mut |name, values| {
        for (_, reach) in scales.iter().zip(&mut reaches).filter(|(s, _)| reads(s, name)) {
            *reach = Reach::of(values).map(|new| reach.map_or(new, |old| old.with(new)));
        }
    })?;
    if method == CalibrationMethod::MinMax {
        return Ok(reaches);
    }
    let mut histograms: Vec<Option<Histogram>> = reaches.iter().map(|r| r.map(Histogram::over)).collect();
    each_value(device, &shown, &mut runs(), &mut |name, values| {
        let own = scales.iter().zip(&mut histograms).filter(|(s, _)| reads(s, name));
        for histogram in own.filter_map(|(_, h)| h.as_mut()) {
            histogram.add(values);
        }
    })?;
    let levels = |s: &SharedScale| (s.limits.1 - s.limits.0 + 1) as usize;
    let reach = |(h, s): (&Option<Histogram>, &SharedScale)| {
        let h = h.as_ref()?;
        Some(match method {
            CalibrationMethod::Entropy => h.by_entropy(levels(s)),
            _ => h.by_percentile(),
        })
    };
    Ok(histograms.iter().zip(scales).map(reach).collect())
}

/// Runs a model and passes on what it takes and makes, by name.
fn each_value(
    device: &dyn Executor,
    model: &ModelProto,
    runs: &mut dyn Iterator<Item = Vec<NamedTensor>>,
    see: &mut dyn FnMut(&str, &[f32]),
) -> Result<()> {
    let bytes = encode(model);
    let mut run = device.loaded_plain(&bytes)?;
    for inputs in runs {
        let outputs = run(&inputs)?;
        let mut told = HashSet::new();
        for (name, tensor) in inputs.iter().chain(&outputs).filter(|(n, _)| told.insert(n.as_str())) {
            if let Some(values) = tensor.to_f32().filter(|_| tensor.dtype == Dtype::Float) {
                see(name, &values);
            }
        }
    }
    Ok(())
}

/// A model that gives out what its quantizers take; where `cut` tells which ends cut values off, quantizers do nothing else.
fn shown(model: &ModelProto, scales: &[SharedScale], cut: Option<&[Ends]>) -> Result<ModelProto> {
    let mut shown = model.clone();
    let graph = shown
        .graph
        .as_mut()
        .ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let made: HashSet<String> = graph.node.iter().flat_map(|n| n.output.clone()).collect();
    let known: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    let inputs = scales.iter().flat_map(|s| &s.quantizers).map(|q| &q.input);
    let mut fresh: Vec<&String> = inputs.filter(|n| made.contains(*n) && !known.contains(*n)).collect();
    fresh.sort_unstable();
    fresh.dedup();
    graph.output.extend(fresh.into_iter().map(|n| named_value(n)));
    graph.value_info.clear();
    let Some(cut) = cut else { return Ok(shown) };
    // What stands in the place of a quantizer, by its index: the bounds that it still has.
    let mut bounds: HashMap<usize, [Option<String>; 2]> = HashMap::new();
    let mut passes: HashSet<usize> = HashSet::new();
    for (k, (shared, ends)) in scales.iter().zip(cut).enumerate() {
        let (low, high) = shared.range();
        let mut bound = |is: bool, value: f32, what: &str| {
            is.then(|| {
                let name = format!("snapprune.{what}.{k}");
                graph
                    .initializer
                    .push(Tensor::from_f32(vec![], &[value]).to_proto(&name));
                name
            })
        };
        let both = [bound(ends.low, low, "least"), bound(ends.high, high, "most")];
        for q in &shared.quantizers {
            bounds.insert(q.node, both.clone());
            passes.extend(&q.back);
        }
    }
    let nodes = std::mem::take(&mut graph.node);
    for (at, node) in nodes.into_iter().enumerate() {
        match (bounds.get(&at), passes.contains(&at)) {
            (Some(both), _) => graph.node.extend(bounded(&node, both)),
            (None, true) => graph
                .node
                .push(floats("Identity", &node, node.input.iter().take(1).cloned(), None)),
            (None, false) => graph.node.push(node),
        }
    }
    Ok(shown)
}

/// What `node` takes, kept within bounds, as what it makes.
fn bounded(node: &NodeProto, [least, most]: &[Option<String>; 2]) -> Vec<NodeProto> {
    let input = node.input.first().cloned().unwrap_or_default();
    match (least, most) {
        (None, None) => vec![floats("Identity", node, [input], None)],
        (Some(bound), None) => vec![floats("Max", node, [input, bound.clone()], None)],
        (None, Some(bound)) => vec![floats("Min", node, [input, bound.clone()], None)],
        (Some(low), Some(high)) => {
            let between = format!("snapprune.between.{}", node.output.first().map_or("", String::as_str));
            vec![
                floats("Max", node, [input, low.clone()], Some(&between)),
                floats("Min", node, [between.clone(), high.clone()], None),
            ]
        }
    }
}

/// A node on floats that makes what `node` makes, or `output`.
fn floats(op: &str, node: &NodeProto, input: impl IntoIterator<Item = String>, output: Option<&str>) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        input: input.into_iter().collect(),
        output: output.map_or_else(|| node.output.clone(), |o| vec![o.to_owned()]),
        ..Default::default()
    }
}
