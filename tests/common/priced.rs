//! A device whose times follow from a formula, so that whether a model is faster is no matter of chance.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use snapprune::Result;
use snapprune::device::{
    CpuFallback, DeviceInfo, NamedTensor, NodeRuns, NodeTime, ShapeOptions, TimedSession, Timer, input_specs, observe,
};
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Attributes, Graph, parse};
use snapprune::optimize::{Known, Options, Outcome, ProgressReporter, Step, Workload, open, optimize};
use snapprune::profile::Database;
use snapprune::report::outcome_json;

use super::command::{model, shared_times};
use super::on_cpu::OnCpu;
use super::runtime;

/// A processor that computes channels in blocks of 16: it pays for whole ones, and twice where some are not whole.
pub type Priced = OnCpu<Blocks>;

pub struct Blocks;

impl Priced {
    pub fn new() -> Self {
        let mut device = Self::timed_by(Blocks);
        device.info = DeviceInfo {
            name: "A processor of blocks".to_owned(),
            fingerprint: "b10c".to_owned(),
            stack: "made up".to_owned(),
            ..device.info
        };
        device
    }
}

/// The same with a memory of its own, as GPUs have.
pub fn roomy() -> Priced {
    Priced {
        memory: Some(1 << 40),
        ..Priced::new()
    }
}

/// A session that takes so many milliseconds.
pub struct Price(pub f64);

impl TimedSession for Price {
    fn run(&mut self) -> Result<f64> {
        Ok(self.0)
    }
}

/// Extents by name.
pub type Shapes = HashMap<String, Vec<usize>>;

/// The nodes of a model, and the extents of its values and weights, by name.
pub fn nodes_and_shapes(model: &[u8], inputs: &[NamedTensor]) -> Result<(Vec<NodeProto>, Shapes)> {
    let proto = parse(model.to_vec())?.proto;
    let mut options = ShapeOptions::default();
    for (name, tensor) in inputs {
        options.shapes.insert(name.clone(), tensor.dims.clone());
    }
    let graph = Graph::of(&proto)?;
    let specs = input_specs(&graph, &options)?;
    let mut shapes: Shapes = observe(&runtime(), &proto, &specs)?.shapes.dims.into_iter().collect();
    for weight in &graph.proto.initializer {
        let extents = weight.dims.iter().map(|&d| d as usize).collect();
        shapes.entry(weight.name().to_owned()).or_insert(extents);
    }
    Ok((graph.proto.node.clone(), shapes))
}

/// Milliseconds of each node of a model, by its name.
fn prices(model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<(NodeProto, f64)>> {
    let (nodes, shapes) = nodes_and_shapes(model, inputs)?;
    let shape = |name: &String| shapes.get(name).cloned().unwrap_or_default();
    let blocks = |channels: usize| channels.div_ceil(16) as f64;
    let off = |channels: usize| -> f64 { if channels.is_multiple_of(16) { 1.0 } else { 2.0 } };
    let price = |node: &NodeProto| -> f64 {
        let out = node.output.first().map(shape).unwrap_or_default();
        let elements = |dims: &[usize]| dims.iter().product::<usize>() as f64;
        match node.op_type() {
            "Conv" => {
                let weight = shape(&node.input[1]);
                let groups = node.int("group", 1) as usize;
                let inner = if groups == 1 {
                    off(weight[1]).max(off(weight[0])) * blocks(weight[1])
                } else {
                    off(weight[0]) / 16.0
                };
                let places = elements(&out[2..]) * out[0] as f64 * elements(&weight[2..]);
                1e-3 + 1e-6 * places * blocks(weight[0]) * inner * 16.0
            }
            "Gemm" | "MatMul" => 1e-3,
            _ => 1e-8 * elements(&out),
        }
    };
    Ok(nodes.iter().map(|n| (n.clone(), price(n))).collect())
}

impl Timer for Priced {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], _: CpuFallback) -> Result<Box<dyn TimedSession>> {
        Ok(Box::new(Price(prices(model, inputs)?.iter().map(|(_, ms)| ms).sum())))
    }

    fn node_times(&self, model: &[u8], inputs: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        let nodes = prices(model, inputs)?.into_iter().map(|(node, ms)| NodeTime {
            name: node.name().to_owned(),
            op: node.op_type().to_owned(),
            samples: vec![ms; runs.timed],
            ..NodeTime::default()
        });
        Ok(Some(nodes.collect()))
    }
}

/// Shows nothing.
pub struct Silent;

impl ProgressReporter for Silent {
    fn step(&self, _: Step) {}
    fn progress(&self, _: usize, _: usize) {}
}

/// The main job on the misaligned model and this device: what was loaded and what came of it.
pub fn optimized_at_price(db: &Path, options: &Options) -> ([Workload; 1], Outcome) {
    let opened = open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let known = Known {
        database: Some(Database::open(db).unwrap()),
        ..Known::default()
    };
    let outcome = optimize(&workloads, &Priced::new(), known, options, &Silent).unwrap();
    (workloads, outcome)
}

/// What all tests of this process have had timed on this device: its times never differ.
pub fn known_prices() -> Known {
    Known {
        database: Some(Database::open(&shared_times()).unwrap()),
        ..Known::default()
    }
}

/// The main job on one of this project's models and this device.
pub fn job_at_price(name: &str, options: &Options) -> Outcome {
    let opened = open(&model(name), &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    optimize(&workloads, &Priced::new(), known_prices(), options, &Silent).unwrap()
}

/// The main job on the misaligned model: the report, and the model if one is written.
pub fn priced(db: &Path, options: Options) -> (Value, Option<Vec<u8>>) {
    let (workloads, outcome) = optimized_at_price(db, &options);
    let name = model("shapes96_misaligned.onnx");
    (
        outcome_json(name.to_str().unwrap(), &workloads, &outcome),
        outcome.model,
    )
}
