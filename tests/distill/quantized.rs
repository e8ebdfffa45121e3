//! Weights that are stored as integers, and integers on the way.

use super::rules::{X, follows, map};
use super::teaching::{classifier, taught};
use crate::common::net::Net;
use crate::common::quantized::typed;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Dtype, Tensor};

/// What `QuantizeLinear` and `DequantizeLinear` make of a value, with one scale.
fn through_integers(net: &mut Net, y: &str, scale: f32, dtype: Dtype, zero: i64) -> String {
    let scale = net.constant(&Tensor::from_f32(vec![], &[scale]));
    let zero = net.constant(&typed(dtype, &[], &[zero]));
    let integers = net.node("QuantizeLinear", &[y, &scale, &zero], |_| {});
    net.node("DequantizeLinear", &[&integers, &scale, &zero], |_| {})
}

/// Steps so small that differences tell the slope; the type ends within the values, so that some are cut off.
#[test]
fn gradients_pass_integers_where_nothing_is_cut_off() {
    for (dtype, zero) in [(Dtype::Uint16, 0), (Dtype::Int16, 2000)] {
        let (mut net, y) = map(31);
        net.opset = 21;
        let y = through_integers(&mut net, &y, 4e-5, dtype, zero);
        follows("16 bits", net, &y, &X, 2);
    }
}

/// With one scale, and with one for each channel.
#[test]
fn weights_of_integers_have_gradients() {
    for channels in [1, 5] {
        let (mut net, y) = map(32);
        let integers: Vec<i64> = (0..180).map(|k| (k * 37) % 127 - 63).collect();
        let w = net.constant(&typed(Dtype::Int8, &[5, 4, 3, 3], &integers));
        let dims = if channels == 1 { vec![] } else { vec![channels] };
        let scales: Vec<f32> = (0..channels).map(|k| 0.004 + 0.001 * k as f32).collect();
        let scale = net.constant(&Tensor::from_f32(dims.clone(), &scales));
        let zero = net.constant(&typed(Dtype::Int8, &dims, &vec![0; channels]));
        let w = net.node("DequantizeLinear", &[&w, &scale, &zero], |n| n.set_int("axis", 0));
        let b = net.constant(&typed(Dtype::Int32, &[5], &[100, -300, 200, 0, 50]));
        let scale = net.constant(&Tensor::from_f32(vec![], &[1e-3]));
        let b = net.node("DequantizeLinear", &[&b, &scale], |_| {});
        let y = net.node("Conv", &[&y, &w, &b], |_| {});
        follows("int8", net, &y, &X, 4);
    }
}

/// The classifier with all weights as 8-bit integers, and its activations between two layers, too.
fn quantized(model: &ModelProto) -> ModelProto {
    let mut model = model.clone();
    let graph = model.graph.as_mut().unwrap();
    let mut nodes = Vec::new();
    let weights: Vec<String> = graph.node.iter().filter_map(|n| n.input.get(1)).cloned().collect();
    for proto in graph.initializer.clone() {
        let tensor = Tensor::read(&proto).unwrap();
        if tensor.dims.len() < 2 || !weights.contains(&proto.name().to_owned()) {
            continue;
        }
        let values = tensor.to_f32().unwrap();
        let scale = values.iter().fold(0.0f32, |most, v| most.max(v.abs())) / 127.0;
        let integers: Vec<i64> = values.iter().map(|v| (v / scale).round() as i64).collect();
        let name = proto.name().to_owned();
        graph.initializer.retain(|t| t.name() != name);
        graph
            .initializer
            .push(typed(Dtype::Int8, &tensor.dims, &integers).to_proto(&format!("{name}.q")));
        graph
            .initializer
            .push(Tensor::from_f32(vec![], &[scale]).to_proto(&format!("{name}.s")));
        let mut node = snapprune::onnx::proto::NodeProto {
            op_type: Some("DequantizeLinear".to_owned()),
            name: Some(format!("{name}.d")),
            input: vec![format!("{name}.q"), format!("{name}.s")],
            output: vec![name],
            ..Default::default()
        };
        node.set_int("axis", 0);
        nodes.push(node);
    }
    nodes.append(&mut graph.node);
    graph.node = nodes;
    model
}

/// Integers that are off come nearer to what the original does, in the type and with the scales that they had.
#[test]
fn integers_learn() {
    let teacher = classifier();
    let exact = quantized(&teacher);
    let mut student = exact.clone();
    let mut random = fastrand::Rng::with_seed(4);
    for proto in &mut student.graph.as_mut().unwrap().initializer {
        if !proto.name().ends_with(".q") {
            continue;
        }
        let tensor = Tensor::read(proto).unwrap();
        let integers = tensor.to_i64().unwrap();
        let off: Vec<i64> = integers
            .iter()
            .map(|q| (q + random.i64(-25..=25)).clamp(-127, 127))
            .collect();
        typed(Dtype::Int8, &tensor.dims, &off).store(proto);
    }
    let (found, [before, after]) = taught(&teacher, &student, 120);
    assert_eq!((found.steps, found.tensors), (120, [8, 0]));
    assert!(after < 0.3 * before, "{before} before, {after} after");
    let trained = found.model.unwrap().graph.unwrap();
    let mut changed = 0;
    for (was, is) in student.graph.unwrap().initializer.iter().zip(&trained.initializer) {
        let (was, is) = (Tensor::read(was).unwrap(), Tensor::read(is).unwrap());
        assert_eq!((&was.dims, was.dtype), (&is.dims, is.dtype));
        changed += usize::from(was.dtype == Dtype::Int8 && was.bytes != is.bytes);
        assert!(!was.dims.is_empty() || was.bytes == is.bytes, "a scale changed");
    }
    assert_eq!(changed, 4);
}
