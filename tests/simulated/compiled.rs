//! A device that compiles whole graphs, as plug-ins do: it tells no times of nodes.

use crate::common::command::model;
use crate::common::on_cpu::OnCpu;
use crate::common::priced::{Price, Silent, nodes_and_shapes};
use crate::common::runtime;
use snapprune::Result;
use snapprune::channels::ChannelChange;
use snapprune::device::{CpuFallback, NamedTensor, ShapeOptions, TimedSession, Timer, random_inputs};
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Attributes, encode};
use snapprune::optimize::{Known, Options, Workload, open, predicted};
use snapprune::plan::ChannelCounts;
use snapprune::profile::{Prober, Problem};
use snapprune::rewrite::rewrite;

/// It computes in a narrow type between the first layer and the last, and changes types where that ends.
struct Compiling {
    /// What a run takes whatever the model, milliseconds.
    call_ms: f64,
}

type Compiled = OnCpu<Compiling>;

/// Milliseconds for a multiply-accumulate of a convolution, a value that it reads or writes, one that is averaged, and one whose type changes.
const WORK: f64 = 1e-8;
const MOVED: f64 = 1e-6;
const AVERAGED: f64 = 3e-6;
const CHANGED: f64 = 4e-6;

fn elements(extents: &[usize]) -> f64 {
    extents.iter().product::<usize>() as f64
}

/// What a convolution takes, by the extents of its input, its weights and its output.
fn layer_ms(input: &[usize], weight: &[usize], output: &[usize]) -> f64 {
    WORK * elements(output) * elements(&weight[1..]) + MOVED * (elements(input) + elements(output))
}

impl Timer for Compiled {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], _: CpuFallback) -> Result<Box<dyn TimedSession>> {
        let (nodes, shapes) = nodes_and_shapes(model, inputs)?;
        let of = |name: &String| shapes.get(name).cloned().unwrap_or_default();
        let made_by = |name: &String| nodes.iter().find(|n| n.output.contains(name));
        let price = |node: &NodeProto| {
            let (input, output) = (of(&node.input[0]), of(&node.output[0]));
            let window: i64 = node.ints("kernel_shape").unwrap_or_default().iter().product();
            let own = match node.op_type() {
                "Conv" => return layer_ms(&input, &of(&node.input[1]), &output),
                "MaxPool" => MOVED * elements(&output) * window as f64,
                "GlobalAveragePool" => AVERAGED * elements(&input),
                _ => 0.0,
            };
            let last = !nodes.iter().any(|n| n.input.contains(&node.output[0]));
            let narrow = made_by(&node.input[0]).is_some_and(|n| n.op_type() == "Conv");
            own + if last && narrow {
                CHANGED * elements(&input)
            } else {
                0.0
            }
        };
        Ok(Box::new(Price(
            self.times.call_ms + nodes.iter().map(price).sum::<f64>(),
        )))
    }

    fn compiles_graphs(&self) -> bool {
        true
    }
}

fn layer(cin: usize, cout: usize, kernel: usize, stride: i64, activation: &str) -> Problem {
    let pad = (kernel / 2) as i64;
    Problem {
        kernel: vec![kernel; 2],
        lists: vec![
            ("strides".to_owned(), vec![stride; 2]),
            ("pads".to_owned(), vec![pad; 4]),
        ],
        activation: activation.to_owned(),
        bias: false,
        ..Problem::plain(cin, cout, 56)
    }
}

#[test]
fn a_layer_counts_alike_whatever_it_makes_of_its_input() {
    let depthwise = |problem: Problem| Problem {
        groups: problem.cin,
        ..problem
    };
    // Narrower and wider, smaller, with an activation and without.
    let problems = [
        layer(58, 34, 1, 1, ""),
        layer(58, 34, 1, 1, "Relu"),
        layer(24, 96, 1, 1, ""),
        layer(24, 96, 3, 2, "Relu"),
        depthwise(layer(58, 58, 3, 2, "")),
        depthwise(layer(58, 58, 3, 1, "")),
    ];
    let device = Compiled::timed_by(Compiling { call_ms: 0.03 });
    let mut prober = Prober::new(&device, None);
    prober.require(&problems, &|_, _| {}).unwrap();
    for problem in &problems {
        let output = problem.spec().and_then(|s| s.output_shape(&problem.space)).unwrap();
        let map = |channels: usize, extents: &[usize]| [&[1, channels], extents].concat();
        let weight = [
            problem.cout,
            problem.cin / problem.groups,
            problem.kernel[0],
            problem.kernel[1],
        ];
        let own = layer_ms(&map(problem.cin, &problem.space), &weight, &map(problem.cout, &output));
        let timed = prober.get(problem).unwrap().summary().median;
        assert!(
            (timed / own - 1.0).abs() < 0.02,
            "{problem:?}: {timed} timed, {own} taken"
        );
    }
}

#[test]
fn what_a_call_takes_does_not_fall_with_the_channels() {
    let opened = open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    let device = Compiled::timed_by(Compiling { call_ms: 1.0 });
    let (analysis, graph) = (&opened.analysis, opened.graph().unwrap());
    let present: ChannelCounts = analysis.groups.iter().map(|g| g.classes.len()).collect();
    let (mut narrow, mut change) = (present.clone(), ChannelChange::default());
    for group in analysis.groups.iter().filter(|g| g.constraint.is_none()) {
        narrow[group.id] = group.classes.len().div_ceil(2);
        change.removed.extend(&group.classes[narrow[group.id]..]);
    }
    let files = [
        encode(&opened.proto),
        encode(&rewrite(&opened.proto, &graph, analysis, &change, &[]).unwrap()),
    ];
    let inputs = random_inputs(&opened.specs, 0, 1.0).unwrap();
    let taken = files.map(|file| {
        device
            .load(&file, &inputs, CpuFallback::Allowed)
            .unwrap()
            .run()
            .unwrap()
    });
    drop(graph);
    let workloads = [Workload { opened, weight: 1.0 }];
    let options = Options::default();
    let foretold = predicted(
        &workloads,
        &device,
        Known::default(),
        &options,
        &[present, narrow],
        &Silent,
    )
    .unwrap();
    assert!((taken[1] - 1.0) / (taken[0] - 1.0) < 0.7, "{taken:?}");
    for (foretold, taken) in foretold.iter().zip(taken) {
        assert!(
            (foretold / taken - 1.0).abs() < 0.02,
            "{foretold} foretold, {taken} taken"
        );
    }
}
