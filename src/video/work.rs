//! What nodes and the moving of tiles are expected to take, from their extents: only to order cuts, of which the best are timed.

use std::collections::HashMap;

use super::local::Local;
use super::stage::Stage;
use crate::channels::Shapes;
use crate::onnx::{Attributes, Graph};

/// Nanoseconds for one multiply-accumulate of a convolution over all channels, and of a depthwise one.
const MAC: f64 = 0.009;
const DEPTHWISE_MAC: f64 = 0.014;
/// Nanoseconds for an element that a node makes: one that is written, one that is a function with an exponential.
const WRITTEN: f64 = 0.08;
const EXPONENTIAL: f64 = 0.5;
/// Nanoseconds for an element that is gathered or put back with its change, and for one that is copied with its map.
const MOVED: f64 = 2.0;
const COPIED: f64 = 0.25;
/// The same where single places are computed: of a matrix product, of an element gathered or put back, of one that is copied, and of each
/// place of the map whose change is noted.
const ROW_MAC: f64 = 0.0105;
const ROW_MOVED: f64 = 0.15;
const ROW_COPIED: f64 = 0.12;
/// Nanoseconds for one tap of a depthwise layer in rows: weighted and summed.
const ROW_WEIGHTED: f64 = 0.26;
const NOTED: f64 = 8.0;
const PLACES: f64 = 45_000.0;
/// Nanoseconds that the small nodes of one more layer of a stage take.
const LAYER: f64 = 8_000.0;
/// Nanoseconds that the small nodes of a stage take together.
const STAGE: f64 = 80_000.0;
/// What nodes take on windows over what they take on as many places of a whole map.
const IN_WINDOWS: f64 = 1.5;

/// Channels, rows and columns by map.
pub(super) type Extents<'a> = &'a dyn Fn(&str) -> Option<[usize; 3]>;

/// Nanoseconds of one node at extents of its maps.
pub(super) fn node_work(graph: &Graph, local: &Local, extents: Extents) -> Option<f64> {
    let node = graph.proto.node.get(local.node)?;
    let made = node.output.iter().filter_map(|o| extents(o));
    let elements: usize = made.map(|d| d.iter().product::<usize>()).sum();
    let elements = elements as f64;
    Some(match node.op_type() {
        "Conv" | "ConvTranspose" => {
            let weights = graph.stored(node.input.get(1)?)?.dims;
            let each: usize = weights.iter().skip(1).product();
            let mac = if weights.get(1) == Some(&1) { DEPTHWISE_MAC } else { MAC };
            elements * (each as f64 * mac + WRITTEN)
        }
        "Relu" | "BatchNormalization" | "Clip" | "LeakyRelu" | "Identity" => 0.05 * elements,
        "Sigmoid" | "Tanh" | "Exp" | "HardSwish" | "Gelu" | "Mish" | "Softplus" | "Erf" => EXPONENTIAL * elements,
        "MaxPool" | "AveragePool" => 0.8 * elements,
        "Slice" | "Resize" => 1.0 * elements,
        _ => WRITTEN * elements,
    })
}

/// Nanoseconds of nodes on whole maps, and of noting what changed in those that are read behind.
pub(super) fn dense_work(graph: &Graph, shapes: &Shapes, nodes: &[Local], outputs: &[String]) -> Option<f64> {
    let extents = |name: &str| super::local::map_dims(shapes, name);
    let run: f64 = nodes
        .iter()
        .map(|n| node_work(graph, n, &extents))
        .sum::<Option<f64>>()?;
    let noted: usize = outputs
        .iter()
        .filter_map(|o| extents(o))
        .map(|d| d.iter().product::<usize>())
        .sum();
    Some(run + noted as f64)
}

/// Nanoseconds of a stage that computes so many places.
fn places_work(graph: &Graph, stage: &Stage, places: usize) -> Option<f64> {
    let extents = |name: &str| stage.maps.get(name).map(|m| [m.dims[0], 1, 1]);
    let mut each = 0.0;
    for (local, taps) in stage.nodes.iter().zip(&stage.taps) {
        each += node_work(graph, local, &extents)? * (ROW_MAC / MAC);
        let read = local
            .maps
            .iter()
            .filter(|m| stage.inputs.contains(m) || !taps.is_same());
        let channels: usize = read.filter_map(|m| extents(m)).map(|d| d[0]).sum();
        let node = graph.proto.node.get(local.node)?;
        let weighted = match node.op_type() == "Conv" && node.int("group", 1) > 1 {
            true => ROW_WEIGHTED,
            false => 0.0,
        };
        each += (channels * taps.count()) as f64 * (ROW_MOVED + weighted);
    }
    let made: usize = stage.outputs.iter().filter_map(|o| extents(o)).map(|d| d[0]).sum();
    let inner: usize = stage.inner.iter().filter_map(|o| extents(o)).map(|d| d[0]).sum();
    let map = ((made + inner) * stage.tiles()) as f64 * ROW_COPIED + stage.tiles() as f64 * NOTED;
    let fixed = PLACES + stage.inner.len() as f64 * LAYER;
    Some(fixed + map + places as f64 * (each + made as f64 * 4.0 * ROW_MOVED))
}

/// Nanoseconds of a stage that computes so many tiles.
pub(super) fn stage_work(graph: &Graph, stage: &Stage, tiles: usize) -> Option<f64> {
    if stage.is_of_places() {
        return places_work(graph, stage, tiles);
    }
    let window: HashMap<&str, [usize; 3]> = stage
        .maps
        .iter()
        .map(|(n, m)| (n.as_str(), [m.dims[0], m.window[0], m.window[1]]))
        .collect();
    let extents = |name: &str| window.get(name).copied();
    let run: f64 = stage
        .nodes
        .iter()
        .map(|n| node_work(graph, n, &extents))
        .sum::<Option<f64>>()?;
    let moved = |names: &[String]| -> f64 {
        let each = names
            .iter()
            .filter_map(|n| extents(n))
            .map(|d| d.iter().product::<usize>());
        each.sum::<usize>() as f64
    };
    let kept = stage
        .outputs
        .iter()
        .filter_map(|o| stage.maps.get(o))
        .map(|m| m.dims.iter().product::<usize>());
    let copied = kept.sum::<usize>() as f64 * COPIED;
    let each = run * IN_WINDOWS + (moved(&stage.inputs) * 0.5 + moved(&stage.outputs)) * MOVED;
    Some(STAGE + copied + each * tiles as f64)
}
