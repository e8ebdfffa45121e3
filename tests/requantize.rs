//! Scales of activations that are chosen anew for narrower quantized models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use common::net::Net;
use common::priced::{Priced, Silent, known_prices};
use common::quantized::typed;
use common::{cpu, runtime};
use ndarray::Array4;
use snapprune::data::{Dataset, Scaling};
use snapprune::device::{Executor, NamedTensor, ShapeOptions, input_specs};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Dtype, Graph, encode, parse};
use snapprune::optimize::{
    ActivationScales, Amount, Goals, Options, SampleSource, WhenSlower, Workload, open, optimize,
};
use snapprune::plan::Metric;
use snapprune::reconstruct::{CalibrationMethod, rescaled};
use snapprune::report::outcome_json;

/// Channels of a layer, how far each output reaches beyond the others, and which integers read each input.
pub struct Layer {
    cin: usize,
    cout: usize,
    gain: fn(usize) -> f32,
    reach: fn(usize) -> i64,
}

/// A weight in int8 with a scale for each output channel, and a bias in the product of scales, dequantized.
fn weights(net: &mut Net, layer: &Layer, input_scale: f32) -> [String; 2] {
    let &Layer { cin, cout, gain, reach } = layer;
    let scales: Vec<f32> = (0..cout).map(|k| (0.003 + 0.0001 * k as f32) * gain(k)).collect();
    let mut value = |k: usize| {
        let most = reach(k / 9 % cin);
        net.random.i64(-most..=most)
    };
    let values: Vec<i64> = (0..cout * cin * 9).map(&mut value).collect();
    let products: Vec<f32> = scales.iter().map(|s| s * input_scale).collect();
    let bias: Vec<i64> = products.iter().map(|p| ((net.random.f32() - 0.5) / p) as i64).collect();
    let mut stored = |values: &[i64], dims: &[usize], dtype: Dtype, scales: &[f32]| {
        let values = net.constant(&typed(dtype, dims, values));
        let zeros = net.constant(&typed(dtype, &[scales.len()], &vec![0; scales.len()]));
        let scales = net.constant(&snapprune::onnx::Tensor::from_f32(vec![scales.len()], scales));
        net.node("DequantizeLinear", &[&values, &scales, &zeros], |n| {
            n.set_int("axis", 0)
        })
    };
    [
        stored(&values, &[cout, cin, 3, 3], Dtype::Int8, &scales),
        stored(&bias, &[cout], Dtype::Int32, &products),
    ]
}

/// A convolution of it.
pub fn conv(net: &mut Net, x: &str, layer: &Layer, input_scale: f32) -> String {
    let [w, b] = weights(net, layer, input_scale);
    net.node("Conv", &[x, &w, &b], |n| n.set_ints("pads", vec![1; 4]))
}

/// One whose channels are all alike.
pub fn even(cin: usize, cout: usize) -> Layer {
    Layer {
        cin,
        cout,
        gain: |_| 1.0,
        reach: |_| 60,
    }
}

/// An activation in int8 and back.
pub fn pair(net: &mut Net, x: &str, scale: f32, zero: i64) -> String {
    let scale = net.constant(&snapprune::onnx::Tensor::from_f32(vec![], &[scale]));
    let zero = net.constant(&typed(Dtype::Int8, &[], &[zero]));
    let q = net.node("QuantizeLinear", &[x, &scale, &zero], |_| {});
    net.node("DequantizeLinear", &[&q, &scale, &zero], |_| {})
}

const INPUT: f32 = 2.0 / 255.0;

/// Two convolutions 4 → 12 → 5 with a `Relu` folded into the quantizer between them, whose scale is given, and a `MaxPool` that passes it
/// on.
pub fn folded_relu(scale: f32) -> ModelProto {
    let mut net = Net::new(17, 4);
    let x = net.input("x", &[1, 4, 12, 12]);
    let x = pair(&mut net, &x, INPUT, 0);
    let y = conv(&mut net, &x, &even(4, 12), INPUT);
    let y = pair(&mut net, &y, scale, -128);
    let y = net.node("MaxPool", &[&y], |n| {
        n.set_ints("kernel_shape", vec![2, 2]);
        n.set_ints("strides", vec![2, 2]);
    });
    let y = pair(&mut net, &y, scale, -128);
    let y = conv(&mut net, &y, &even(12, 5), scale);
    net.output(&y);
    net.model()
}

/// Random samples as a file.
fn write(path: &Path, count: usize) {
    let mut random = fastrand::Rng::with_seed(5);
    let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(path).unwrap());
    let values = Array4::from_shape_simple_fn((count, 4, 12, 12), || random.f32() * 2.0 - 1.0);
    npz.add_array("x", &values).unwrap();
    npz.finish().unwrap();
}

pub fn samples(model: &ModelProto, count: usize) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.npz");
    write(&path, count);
    let specs = input_specs(&Graph::of(model).unwrap(), &ShapeOptions::default()).unwrap();
    Dataset::read(&path, &specs, Scaling::default()).unwrap()
}

/// The outputs on all samples.
pub fn outputs(model: &ModelProto, data: &Dataset) -> Vec<f32> {
    let device = cpu();
    let run = |k| -> Vec<NamedTensor> { device.outputs(&encode(model), &data.run(k).inputs).unwrap() };
    (0..data.runs()).flat_map(|k| run(k)[0].1.to_f32().unwrap()).collect()
}

pub fn error(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2));
    squares.sum::<f64>() / a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
}

/// Scale and zero point of every `QuantizeLinear`, and the scales of biases over those of weights and inputs.
pub fn parameters(model: &ModelProto) -> Vec<(f32, i64)> {
    let graph = Graph::of(model).unwrap();
    let nodes = graph.proto.node.iter().filter(|n| n.op_type() == "QuantizeLinear");
    let number = |name: &String| graph.stored(name).unwrap();
    nodes
        .map(|n| {
            (
                number(&n.input[1]).to_f32().unwrap()[0],
                number(&n.input[2]).to_i64().unwrap()[0],
            )
        })
        .collect()
}

#[test]
fn ranges_that_are_too_short_or_too_long_come_out_as_the_samples_have_them() {
    let fine = folded_relu(5.0 / 255.0);
    let data = samples(&fine, 24);
    let wanted = outputs(&fine, &data);
    for scale in [0.6 / 255.0, 200.0 / 255.0] {
        let off = folded_relu(scale);
        for method in [
            CalibrationMethod::MinMax,
            CalibrationMethod::Percentile,
            CalibrationMethod::Entropy,
        ] {
            // The original cuts off at zero alone.
            let new = rescaled(&cpu(), (&fine, &off), (&data, 0..data.runs()), method).unwrap();
            let (before, after) = (
                error(&wanted, &outputs(&off, &data)),
                error(&wanted, &outputs(&new.proto, &data)),
            );
            assert!(20.0 * after < before, "{method:?} from {scale}: {before} {after}");
            let scales = parameters(&new.proto);
            assert_eq!((new.of, scales.len()), (2, 3), "a MaxPool has one scale on both sides");
            assert_eq!(scales[1], scales[2]);
            assert!(scales[1].1 == -128, "the Relu that was folded stays: {scales:?}");
            assert!(scales[0].1 == 0, "what was symmetric stays so: {scales:?}");
            follows(&new.proto);
        }
    }
}

/// The bias of the second layer has the product of the scales.
pub fn follows(model: &ModelProto) {
    let graph = Graph::of(model).unwrap();
    let conv = graph.proto.node.iter().rfind(|n| n.op_type() == "Conv").unwrap();
    let scales = |i: usize| {
        let node = &graph.proto.node[graph.producer[conv.input[i].as_str()]];
        graph.stored(&node.input[1]).unwrap().to_f32().unwrap()
    };
    let (x, w, b) = (scales(0)[0], scales(1), scales(2));
    assert_eq!(b, w.iter().map(|w| w * x).collect::<Vec<f32>>());
}

#[test]
fn an_end_at_which_the_original_cuts_off_is_not_passed() {
    // Values reach 3 or so: as a Relu6 does, this quantizer cuts off at 1.
    let original = folded_relu(1.0 / 255.0);
    let data = samples(&original, 8);
    let method = CalibrationMethod::MinMax;
    let new = rescaled(&cpu(), (&original, &original), (&data, 0..data.runs()), method).unwrap();
    let (before, after) = (parameters(&original), parameters(&new.proto));
    assert_eq!(before[1..], after[1..]);
}

/// Three convolutions 4 → 12 → 12 → 5, quantized by the samples. The first channel between the last two reaches sixty times as far as the
/// others, so that these have few integers.
fn outlier(data: &Dataset, reach: fn(usize) -> i64) -> ModelProto {
    let mut net = Net::new(17, 4);
    let x = net.input("x", &[1, 4, 12, 12]);
    let x = pair(&mut net, &x, INPUT, 0);
    let y = conv(&mut net, &x, &even(4, 12), INPUT);
    let y = pair(&mut net, &y, 0.02, -128);
    let gain = |k| if k == 0 { 60.0 } else { 1.0 };
    let y = conv(&mut net, &y, &Layer { gain, ..even(12, 12) }, 0.02);
    let y = pair(&mut net, &y, 1.0, -128);
    let y = conv(&mut net, &y, &Layer { reach, ..even(12, 5) }, 1.0);
    net.output(&y);
    let rough = net.model();
    let all = (data, 0..data.runs());
    rescaled(&cpu(), (&rough, &rough), all, CalibrationMethod::MinMax)
        .unwrap()
        .proto
}

#[test]
fn scales_that_the_samples_gave_come_out_again() {
    let data = samples(&folded_relu(1.0), 24);
    let model = outlier(&data, |_| 60);
    let again = rescaled(
        &cpu(),
        (&model, &model),
        (&data, 0..data.runs()),
        CalibrationMethod::MinMax,
    )
    .unwrap();
    assert_eq!((again.changed, again.of), (0, 3));
    assert_eq!(again.proto, model);
}

/// The main job on a model with a goal: what became of its activations' scales, and the model's.
fn narrowed(model: &ModelProto, share: f64) -> (ActivationScales, ModelProto) {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = (folder.path().join("int8.onnx"), folder.path().join("samples.npz"));
    std::fs::write(&file, encode(model)).unwrap();
    write(&path, 96);
    let options = Options {
        goals: Goals::default().at_most(Metric::Macs, Amount::Times(share)),
        when_slower: WhenSlower::Write,
        min_width: 1,
        calib: Some(SampleSource::new(path, Scaling::default())),
        requantize: Some(CalibrationMethod::MinMax),
        ..Options::default()
    };
    let opened = open(&file, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let outcome = optimize(&workloads, &Priced::new(), known_prices(), &options, &Silent).unwrap();
    let report = outcome_json("int8.onnx", &workloads, &outcome);
    let scales = outcome.calibration.unwrap().activation_scales.unwrap();
    assert_eq!(
        report["calibration"]["activation_scales"]["taken"], scales.taken,
        "{report}"
    );
    let written = parse(outcome.model.unwrap_or_else(|| panic!("{:?}", outcome.declined))).unwrap();
    (scales, written.proto)
}

/// Nothing reads the channel that reaches furthest, so that it goes first.
fn unread_outlier() -> ModelProto {
    let data = samples(&folded_relu(1.0), 96);
    outlier(&data, |k| if k == 0 { 0 } else { 60 })
}

#[test]
fn a_narrower_model_has_scales_of_its_own_where_it_loses_less_with_them() {
    let model = unread_outlier();
    let (scales, written) = narrowed(&model, 0.65);
    assert!(
        scales.taken && scales.loss_after < 0.9 * scales.loss_before,
        "{scales:?}"
    );
    let (before, after) = (parameters(&model), parameters(&written));
    assert!(after[2].0 < 0.2 * before[2].0, "{before:?} {after:?}");
    follows(&written);
}

#[test]
fn scales_stay_where_new_ones_make_it_no_better() {
    // Where that channel alone goes, the others are computed, and rounded, as before.
    let model = unread_outlier();
    let (scales, written) = narrowed(&model, 0.94);
    assert!(
        !scales.taken && scales.changed > 0 && scales.loss_before < scales.loss_after,
        "{scales:?}"
    );
    assert_eq!(parameters(&model), parameters(&written));
}
