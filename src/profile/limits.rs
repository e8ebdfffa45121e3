//! What a device does at most: how fast it multiplies and moves memory, and how long its shortest node takes.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::node_work::ElementType;
use super::probe::{Prober, node, probe_model, small_values, value_info};
use super::remembered::{remembered_if_any, whole_key};
use super::samples::median;
use crate::Result;
use crate::device::{CpuFallback, NamedTensor, NodeClock, NodeRuns, NodeTime, Timer};
use crate::onnx::proto::{GraphProto, ValueInfoProto};
use crate::onnx::{Dtype, Tensor, encode};

/// What a device does at most, as measured with large operators and a small one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Floating-point operations a millisecond by the type of the elements: the faster of a product of matrices and a 1×1 convolution.
    pub flops_per_ms: BTreeMap<ElementType, f64>,
    /// Bytes a millisecond, read and written, of an elementwise operator on far more than a cache holds.
    pub bytes_per_ms: f64,
    /// Milliseconds of an elementwise operator on a few elements.
    pub least_ms: f64,
}

/// Runs of which the fastest counts: others may take the processor for a while.
const RUNS: NodeRuns = NodeRuns {
    warmup: 2,
    timed: 9,
    fallback: CpuFallback::Allowed,
};

/// Extents of what is measured.
struct Sizes {
    /// Rows and columns of square matrices.
    matrices: &'static [usize],
    /// Convolutions.
    convolutions: &'static [SquareConv],
    /// Rows and columns (float32) of what is moved.
    memory: [usize; 2],
}

/// A convolution that makes as many channels as it reads, by a square kernel over square images.
struct SquareConv {
    batch: usize,
    channels: usize,
    kernel: usize,
    side: usize,
}

/// Up to 2 billion operations each, and 128 MiB.
const FOR_HOST: Sizes = Sizes {
    matrices: &[512, 1024],
    convolutions: &[
        SquareConv {
            batch: 1,
            channels: 512,
            kernel: 1,
            side: 32,
        },
        SquareConv {
            batch: 1,
            channels: 64,
            kernel: 3,
            side: 56,
        },
        SquareConv {
            batch: 8,
            channels: 128,
            kernel: 3,
            side: 28,
        },
    ],
    memory: [512, 1 << 16],
};

/// Some 140 billion operations each, and 256 MiB.
const FOR_DEVICE: Sizes = Sizes {
    matrices: &[4096],
    convolutions: &[
        SquareConv {
            batch: 1,
            channels: 4096,
            kernel: 1,
            side: 64,
        },
        SquareConv {
            batch: 8,
            channels: 512,
            kernel: 3,
            side: 64,
        },
    ],
    memory: [1024, 1 << 16],
};

/// The limits of the prober's device for elements of `types`; what its database remembers is not measured again. `None` where
/// single nodes are not timed.
///
/// # Errors
/// When a measurement fails or the database cannot be used.
pub(super) fn limits(prober: &Prober, timer: &dyn Timer, types: &BTreeSet<ElementType>) -> Result<Option<Limits>> {
    let key = |what: &str| whole_key(&format!("limit of {what}"), &[], &[], 0.0);
    let sizes = match timer.node_clock() {
        NodeClock::Host => &FOR_HOST,
        NodeClock::Device => &FOR_DEVICE,
    };
    let least: Option<f64> = remembered_if_any(prober, &key("nodes"), || shortest(timer))?;
    let memory: Option<f64> = remembered_if_any(prober, &key("memory"), || memory(timer, sizes))?;
    let Some((bytes_per_ms, least_ms)) = memory.zip(least) else {
        return Ok(None);
    };
    let mut flops_per_ms = BTreeMap::new();
    for &element in types {
        let dtype = match element {
            ElementType::F32 => Dtype::Float,
            ElementType::F16 => Dtype::Float16,
            ElementType::Other => continue,
        };
        let key = key(&format!("products of {}", dtype.as_str_name()));
        let peak: Option<f64> = remembered_if_any(prober, &key, || products(timer, sizes, dtype))?;
        flops_per_ms.extend(peak.map(|peak| (element, peak)));
    }
    Ok(Some(Limits {
        flops_per_ms,
        bytes_per_ms,
        least_ms,
    }))
}

/// Milliseconds of the shortest of a few small nodes.
fn shortest(timer: &dyn Timer) -> Result<Option<f64>> {
    let mut model = LimitsModel::new(Dtype::Float);
    let mut last = model.input("few", &[32]);
    for (k, op) in ["Relu", "Neg", "Relu", "Neg", "Relu"].into_iter().enumerate() {
        let name = format!("least{k}");
        model.add(op, &name, &[&last]);
        last = name;
    }
    let nodes = model.times(timer, &[&last])?;
    let times = nodes.into_iter().flatten().map(|n| median(&n.samples));
    Ok(times.filter(|&ms| ms > 0.0).reduce(f64::min))
}

/// Bytes a millisecond.
fn memory(timer: &dyn Timer, sizes: &Sizes) -> Result<Option<f64>> {
    let mut model = LimitsModel::new(Dtype::Float);
    let [rows, columns] = sizes.memory;
    let shape = Tensor::from_i64(&[rows as i64, columns as i64]);
    model.graph.initializer.push(shape.to_proto("shape"));
    // Made on the device, and reduced there, so that little is brought in and out.
    let row = model.input("row", &[1, columns]);
    model.add("Expand", "large", &[&row, "shape"]);
    model.add("Relu", "memory", &["large"]);
    model.add("ReduceMax", "reduced", &["memory"]);
    let nodes = model.times(timer, &["reduced"])?;
    let moved = 2.0 * 4.0 * (rows * columns) as f64;
    Ok(nodes.and_then(|n| fastest(&n, "memory")).map(|ms| moved / ms))
}

/// Floating-point operations a millisecond.
fn products(timer: &dyn Timer, sizes: &Sizes, dtype: Dtype) -> Result<Option<f64>> {
    let mut model = LimitsModel::new(dtype);
    let mut flops: Vec<(String, f64)> = Vec::new();
    for &side in sizes.matrices {
        let name = format!("product{side}");
        let rows = model.input(&format!("{name}.x"), &[side, side]);
        let matrix = model.weight(&format!("{name}.w"), &[side, side]);
        model.add("MatMul", &name, &[&rows, &matrix]);
        flops.push((name, 2.0 * side.pow(3) as f64));
    }
    for conv in sizes.convolutions {
        let SquareConv {
            batch,
            channels,
            kernel,
            side,
        } = *conv;
        let name = format!("convolution{channels}");
        // One image too large on each side, so that no padding has to be told.
        let outer = side + kernel - 1;
        let image = model.input(&format!("{name}.x"), &[batch, channels, outer, outer]);
        let weight = model.weight(&format!("{name}.w"), &[channels, channels, kernel, kernel]);
        model.add("Conv", &name, &[&image, &weight]);
        let macs = batch * side * side * channels * channels * kernel * kernel;
        flops.push((name, 2.0 * macs as f64));
    }
    let outputs: Vec<&str> = flops.iter().map(|(name, _)| name.as_str()).collect();
    let Some(nodes) = model.times(timer, &outputs)? else {
        return Ok(None);
    };
    let rates = flops
        .iter()
        .filter_map(|(name, flops)| Some(flops / fastest(&nodes, name)?));
    Ok(rates.reduce(f64::max))
}

/// Milliseconds of a node's fastest run; `None` where it took none. The blocked layout adds to its name.
fn fastest(nodes: &[NodeTime], name: &str) -> Option<f64> {
    let ran = |n: &&NodeTime| n.name.strip_suffix("_nchwc").unwrap_or(&n.name) == name;
    let all = nodes.iter().find(ran)?.samples.iter().copied();
    all.reduce(f64::min).filter(|&ms| ms > 0.0)
}

/// A small model with its inputs.
struct LimitsModel {
    graph: GraphProto,
    inputs: Vec<NamedTensor>,
    dtype: Dtype,
    random: Rng,
}

impl LimitsModel {
    fn new(dtype: Dtype) -> Self {
        Self {
            graph: GraphProto {
                name: Some("limits".to_owned()),
                ..Default::default()
            },
            inputs: Vec::new(),
            dtype,
            random: Rng::with_seed(7),
        }
    }

    fn input(&mut self, name: &str, dims: &[usize]) -> String {
        let tensor = small_values(&mut self.random, self.dtype, dims);
        self.graph.input.push(value_info(name, self.dtype, dims));
        self.inputs.push((name.to_owned(), tensor));
        name.to_owned()
    }

    fn weight(&mut self, name: &str, dims: &[usize]) -> String {
        let tensor = small_values(&mut self.random, self.dtype, dims);
        self.graph.initializer.push(tensor.to_proto(name));
        name.to_owned()
    }

    fn add(&mut self, op: &str, name: &str, inputs: &[&str]) {
        let inputs = inputs.iter().map(|&i| i.to_owned()).collect();
        self.graph.node.push(node(op, name, inputs));
    }

    /// The times of its nodes.
    fn times(mut self, timer: &dyn Timer, outputs: &[&str]) -> Result<Option<Vec<NodeTime>>> {
        let output = |name: &&str| ValueInfoProto {
            name: Some((*name).to_owned()),
            ..Default::default()
        };
        self.graph.output.extend(outputs.iter().map(output));
        timer.node_times(&encode(&probe_model(self.graph)), &self.inputs, RUNS)
    }
}
