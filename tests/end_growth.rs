//! Residual networks with attention over channels (ECA): their streams grow at the end, and only so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::net::Net;
use common::priced::{Priced, Silent};
use common::{Case, cpu, difference, runtime};
use snapprune::channels::{ChannelChange, Group, NewChannels};
use snapprune::device::{Executor, ShapeOptions, random_inputs};
use snapprune::onnx::proto::{ModelProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind};
use snapprune::onnx::{Attributes, encode};
use snapprune::optimize::{GrowInit, Growth, Known, Options, Outcome, Workload, open, optimize};
use snapprune::report::{inspect_json, inspect_text};

/// Channels of the stream, and within the blocks.
const STREAM: usize = 27;
const HIDDEN: usize = 11;

/// Bottleneck blocks with attention on a stream; the batch is open.
fn residual(blocks: usize, side: usize) -> ModelProto {
    let mut net = Net::new(17, 11);
    let image = net.input("image", &[1, 3, side, side]);
    let mut x = net.conv(&image, 3, STREAM, 3, 1);
    for _ in 0..blocks {
        let y = net.conv(&x, STREAM, HIDDEN, 1, 1);
        let y = net.node("Relu", &[&y], |_| {});
        let y = net.conv(&y, HIDDEN, HIDDEN, 3, 1);
        let y = net.node("Relu", &[&y], |_| {});
        let y = net.conv(&y, HIDDEN, STREAM, 1, 1);
        let y = net.eca(&y, 5);
        let y = net.node("Add", &[&x, &y], |_| {});
        x = net.node("Relu", &[&y], |_| {});
    }
    let out = net.conv(&x, STREAM, 4, 1, 1);
    net.output(&out);
    with_open_batch(net.model())
}

fn with_open_batch(mut model: ModelProto) -> ModelProto {
    let kind = model.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap();
    if let Some(Kind::TensorType(tensor)) = kind.value.as_mut() {
        tensor.shape.as_mut().unwrap().dim[0].value = Some(Dim::DimParam("n".into()));
    }
    model
}

/// One layer with attention whose shapes are numbers but for the batch, as newer exporters write them.
fn numbered() -> ModelProto {
    let mut net = Net::new(18, 11);
    let image = net.input("image", &[1, 3, 6, 6]);
    let x = net.conv(&image, 3, STREAM, 3, 1);
    let (axes, width) = (net.ints(&[2, 3]), STREAM as i64);
    let batch = net.node("Shape", &[&image], |n| {
        n.set_int("start", 0);
        n.set_int("end", 1);
    });
    let shape = |net: &mut Net, numbers: &[i64]| {
        let numbers = net.ints(numbers);
        net.node("Concat", &[&batch, &numbers], |n| n.set_int("axis", 0))
    };
    let (row, back) = (shape(&mut net, &[1, width]), shape(&mut net, &[width, 1, 1]));
    let whole = shape(&mut net, &[width, 6, 6]);
    let mean = net.node("ReduceMean", &[&x, &axes], |n| n.set_int("keepdims", 0));
    let row = net.node("Reshape", &[&mean, &row], |_| {});
    let w = net.floats(&[1, 1, 3], -1.0, 1.0);
    let mixed = net.node("Conv", &[&row, &w], |n| n.set_ints("pads", vec![1, 1]));
    let gate = net.node("Sigmoid", &[&mixed], |_| {});
    let gate = net.node("Reshape", &[&gate, &back], |_| {});
    let gate = net.node("Expand", &[&gate, &whole], |_| {});
    let y = net.node("Mul", &[&x, &gate], |_| {});
    let out = net.conv(&y, STREAM, 4, 1, 1);
    net.output(&out);
    with_open_batch(net.model())
}

fn stream(case: &Case) -> &Group {
    let mut groups = case.analysis.groups.iter();
    groups.find(|g| g.producers.first() == Some(&0)).unwrap()
}

#[test]
fn streams_and_hidden_widths_grow_and_outputs_stay_at_any_batch() {
    let mut case = Case::new(&residual(3, 6)).unwrap();
    assert_eq!(
        stream(&case).new_channels,
        NewChannels::AtEnd,
        "{:?}",
        stream(&case).constraint
    );
    let grown: Vec<usize> = case
        .analysis
        .groups
        .iter()
        .filter(|g| g.can_grow())
        .map(Group::width)
        .collect();
    assert_eq!(grown.iter().filter(|&&w| w == HIDDEN).count(), 6);
    assert_eq!(grown.iter().filter(|&&w| w == STREAM).count(), 1, "{grown:?}");
    keeps_outputs(&mut case);
}

#[test]
fn numbers_in_computed_shapes_follow() {
    let mut case = Case::new(&numbered()).unwrap();
    let stream = stream(&case);
    assert!(stream.can_grow(), "{:?}", stream.constraint);
    keeps_outputs(&mut case);
}

/// Between the channels of one sample and the next there is no end.
#[test]
fn an_axis_with_the_channels_of_every_sample_does_not_grow() {
    let mut net = Net::new(17, 11);
    let image = net.input("image", &[1, 3, 6, 6]);
    let x = net.conv(&image, 3, STREAM, 3, 1);
    let (all, back) = (net.ints(&[1, -1, 6, 6]), net.ints(&[-1, STREAM as i64, 6, 6]));
    let y = net.node("Reshape", &[&x, &all], |_| {});
    let y = net.node("LRN", &[&y], |n| n.set_int("size", 3));
    let y = net.node("Reshape", &[&y, &back], |_| {});
    let out = net.conv(&y, STREAM, 4, 1, 1);
    net.output(&out);
    let case = Case::new(&with_open_batch(net.model())).unwrap();
    let stream = stream(&case);
    let reason = stream
        .constraint
        .as_ref()
        .map(|c| c.reason.as_str())
        .unwrap_or_default();
    assert!(!stream.can_grow() && reason.contains("every sample"), "{reason}");
}

/// All that may grow does; at any batch.
fn keeps_outputs(case: &mut Case) {
    let wider = case.apply(&case.grow_all(0.3)).unwrap();
    for batch in [1, 3] {
        case.specs[0].dims[0] = batch;
        let inputs = random_inputs(&case.specs, 4, 1.0).unwrap();
        let plain = cpu().outputs_plain(&encode(&case.proto), &inputs).unwrap();
        let run = |model: &ModelProto| cpu().outputs(&encode(model), &inputs).unwrap();
        let growth = difference(&run(&case.proto), &run(&wider), &plain);
        assert!(growth.beyond_rounding < 1e-5, "batch {batch}: {growth:?}");
    }
}

#[test]
fn what_grows_at_its_end_does_nothing_else() {
    let case = Case::new(&residual(1, 6)).unwrap();
    let classes = stream(&case).classes.clone();
    let refused = |edit: &dyn Fn(&mut ChannelChange)| {
        let mut change = ChannelChange::default();
        edit(&mut change);
        let error = case.apply(&change).unwrap_err();
        assert!(error.contains("new channels may stand at the end"), "{error}");
    };
    refused(&|c| {
        c.removed.insert(classes[3]);
    });
    refused(&|c| {
        c.added.insert(classes[3], 1);
    });
    refused(&|c| {
        c.added.insert(classes[STREAM - 1], 1);
        c.split = Some(1);
    });
}

/// The main job on a device whose blocks have 16 channels.
fn job(options: &Options) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, encode(&residual(2, 16))).unwrap();
    let opened = open(&path, &runtime(), &ShapeOptions::default()).unwrap();
    let told = inspect_json(&opened);
    let told = told["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["width"] == STREAM)
        .unwrap();
    assert_eq!(
        (&told["free"], &told["can_grow"], &told["grows_at_end"]),
        (&false.into(), &true.into(), &true.into())
    );
    assert!(inspect_text(&opened).contains("grow at its end"));
    let workloads = [Workload { opened, weight: 1.0 }];
    optimize(&workloads, &Priced::new(), Known::default(), options, &Silent).unwrap()
}

#[test]
fn a_stream_grows_to_whole_blocks_where_that_is_faster() {
    let outcome = job(&Options::default());
    let row = outcome.groups.iter().find(|g| g.before == STREAM).unwrap();
    assert_eq!((row.after, row.action), (32, "grow"), "{row:?} {:?}", outcome.declined);
}

#[test]
fn a_stream_stays_where_growth_is_not_wanted_or_not_by_zeros() {
    let none = Options {
        growth: Growth::None,
        ..Options::default()
    };
    let split = Options {
        grow_init: GrowInit::Split,
        ..Options::default()
    };
    for options in [none, split] {
        let outcome = job(&options);
        let row = outcome.groups.iter().find(|g| g.before == STREAM).unwrap();
        assert_eq!((row.after, row.action), (STREAM, "keep"), "{row:?}");
    }
}
