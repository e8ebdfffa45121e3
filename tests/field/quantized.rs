//! Quantized layers are named, and change where that is known to work.

use super::{inspected, job, said, written};
use crate::common::net::Net;
use snapprune::onnx::Attributes;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Dtype, Tensor};

fn integers(net: &mut Net, dims: &[usize], dtype: Dtype) -> String {
    let count: usize = dims.iter().product();
    let bytes: Vec<u8> = (0..count).map(|_| net.random.u8(..)).collect();
    net.constant(&Tensor {
        dims: dims.to_vec(),
        dtype,
        bytes: bytes.into(),
    })
}

fn zero(net: &mut Net, dtype: Dtype) -> String {
    net.constant(&Tensor {
        dims: vec![],
        dtype,
        bytes: vec![0].into(),
    })
}

fn scalar(net: &mut Net, value: f32) -> String {
    net.constant(&Tensor::from_f32(vec![], &[value]))
}

/// A convolution 3×3 whose int8 weights come through `DequantizeLinear`, with a scale for each channel.
fn behind_dequantize(net: &mut Net, x: &str, cin: usize, cout: usize) -> String {
    let (scale, zero) = (scalar(net, 0.02), zero(net, Dtype::Uint8));
    let q = net.node("QuantizeLinear", &[x, &scale, &zero], |_| {});
    let x = net.node("DequantizeLinear", &[&q, &scale, &zero], |_| {});
    let (w, scales) = (
        integers(net, &[cout, cin, 3, 3], Dtype::Int8),
        net.floats(&[cout], 0.001, 0.002),
    );
    let w = net.node("DequantizeLinear", &[&w, &scales], |n| n.set_int("axis", 0));
    net.node("Conv", &[&x, &w], |n| n.set_ints("pads", vec![1; 4]))
}

fn qdq() -> ModelProto {
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let y = behind_dequantize(&mut net, &x, 3, 13);
    let y = net.node("Relu", &[&y], |_| {});
    let y = behind_dequantize(&mut net, &y, 13, 10);
    net.output(&y);
    net.model()
}

fn integer_operator() -> ModelProto {
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let (scale, zero) = (scalar(&mut net, 0.02), zero(&mut net, Dtype::Uint8));
    let q = net.node("QuantizeLinear", &[&x, &scale, &zero], |_| {});
    let (w, ws) = (
        integers(&mut net, &[6, 3, 3, 3], Dtype::Int8),
        net.floats(&[6], 0.001, 0.002),
    );
    let wz = net.constant(&Tensor {
        dims: vec![6],
        dtype: Dtype::Int8,
        bytes: vec![0; 6].into(),
    });
    let q = net.node("QLinearConv", &[&q, &scale, &zero, &w, &ws, &wz, &scale, &zero], |_| {});
    let y = net.node("DequantizeLinear", &[&q, &scale, &zero], |_| {});
    net.output(&y);
    net.model()
}

fn quantized_at_run_time() -> ModelProto {
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let q = net.node_many("DynamicQuantizeLinear", &[&x], 3, |_| {});
    let w = integers(&mut net, &[6, 3, 3, 3], Dtype::Uint8);
    let y = net.node("ConvInteger", &[&q[0], &w, &q[2]], |_| {});
    let y = net.node("Cast", &[&y], |n| n.set_int("to", Dtype::Float as i64));
    let y = net.node("Mul", &[&y, &q[1]], |_| {});
    net.output(&y);
    net.model()
}

#[test]
fn quantized_layers_are_named_and_goals_that_they_do_not_allow_are_declined_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, model, op, what, macs, why) in [
        (
            "qdq",
            qdq(),
            "Conv",
            "uint8 activations, int8 weights per channel (QDQ)",
            64 * 9 * (3 * 13 + 13 * 10),
            "with a bias",
        ),
        (
            "qop",
            integer_operator(),
            "QLinearConv",
            "uint8 activations, int8 weights per channel",
            36 * 6 * 27,
            "part of the model's interface",
        ),
        (
            "dyn",
            quantized_at_run_time(),
            "ConvInteger",
            "activations quantized at run time, uint8 weights",
            36 * 6 * 27,
            "part of the model's interface",
        ),
    ] {
        let path = written(folder.path(), &format!("{name}.onnx"), &model);
        let report = inspected(&path, &[]);
        assert!(report["left_out"].as_array().unwrap().is_empty(), "{name}: {report:#}");
        let layer = &report["quantized"][0];
        assert_eq!(
            (layer["op"].as_str(), layer["what"].as_str()),
            (Some(op), Some(what)),
            "{name}"
        );
        assert_eq!(report["macs"].as_u64(), Some(macs), "{name}");
        let (code, text) = said(&["inspect", path.to_str().unwrap()]);
        assert!(code == Some(0) && text.contains(what), "{name}: {text}");
        let (code, text) = job(folder.path(), &path, &["--target-macs", "0.8x"]);
        assert_eq!(code, Some(1), "{name}: {text}");
        assert!(text.contains("may change: ") && text.contains(why), "{name}: {text}");
    }
    let files = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
    assert_eq!(
        files.filter(|p| p.extension().is_some_and(|e| e == "onnx")).count(),
        3,
        "a file was written"
    );
}

#[test]
fn channels_of_quantized_layers_do_not_share_their_work_and_that_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "qdq.onnx", &qdq());
    let (code, text) = job(folder.path(), &path, &["--grow-init", "split"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no multiples of its scale"), "{text}");
    assert!(!text.contains("outputs differ"), "{text}");
}

/// Weights of floats in front of `QuantizeLinear`, as quantization-aware training leaves them.
#[test]
fn weights_that_the_file_quantizes_are_timed_as_integers() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let w = net.floats(&[3, 3, 3, 13], -0.1, 0.1);
    let w = net.node("Transpose", &[&w], |n| n.set_ints("perm", vec![3, 2, 0, 1]));
    let scales = net.floats(&[13], 0.001, 0.002);
    let zeros = net.constant(&Tensor {
        dims: vec![13],
        dtype: Dtype::Int8,
        bytes: vec![0; 13].into(),
    });
    let q = net.node("QuantizeLinear", &[&w, &scales, &zeros], |n| n.set_int("axis", 0));
    let w = net.node("DequantizeLinear", &[&q, &scales, &zeros], |n| n.set_int("axis", 0));
    let y = net.node("Conv", &[&x, &w], |n| n.set_ints("pads", vec![1; 4]));
    net.output(&y);
    let path = written(folder.path(), "qat.onnx", &net.model());
    let report = inspected(&path, &[]);
    assert!(report["left_out"].as_array().unwrap().is_empty(), "{report:#}");
    assert_eq!(report["quantized"][0]["what"], "int8 weights per channel (QDQ)");
}

#[test]
fn in_a_mixed_model_widths_of_quantized_layers_may_change_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 13, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.conv(&y, 13, 11, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = behind_dequantize(&mut net, &y, 11, 9);
    net.output(&y);
    let path = written(folder.path(), "mixed.onnx", &net.model());
    let report = inspected(&path, &[]);
    let free = |width: u64| {
        let groups = report["groups"].as_array().unwrap();
        groups.iter().find(|g| g["width"] == width).unwrap()["free"] == true
    };
    assert_eq!((free(13), free(11), free(9)), (true, true, false), "{report:#}");
    assert_eq!(report["quantized"].as_array().unwrap().len(), 1, "{report:#}");
    assert!(report["nothing_to_do"].is_null());
}

/// What a convolution's quantized activations lack for ONNX Runtime to compute it in integers.
#[test]
fn quantized_convolutions_that_are_computed_in_floats_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let reasons = |name: &str, model: &ModelProto| -> (Vec<Option<String>>, String) {
        let report = inspected(&written(folder.path(), name, model), &[]);
        let all = report["quantized"].as_array().unwrap();
        let each = all.iter().map(|l| l["in_floats"].as_str().map(str::to_owned));
        (each.collect(), report["notes"].to_string())
    };
    // The first one has a quantizer behind its Relu; the second one's output is the graph's.
    let (found, notes) = reasons("qdq.onnx", &qdq());
    let open = "its output is not quantized, or something else reads it too";
    assert_eq!(found, [None, Some(open.to_owned())]);
    assert!(
        notes.contains("1 convolution with quantized weights is computed in floats by ONNX Runtime: its output"),
        "{notes}"
    );
    let path = folder.path().join("qdq.onnx");
    let (_, text) = said(&["inspect", path.to_str().unwrap()]);
    assert!(text.contains("; in floats: its output"), "{text}");
    // A shortcut that reads an int8 activation beside the layer, and weights alone.
    let pair = |net: &mut Net, x: &str, dtype: Dtype| {
        let (scale, zero) = (scalar(net, 0.02), zero(net, dtype));
        let q = net.node("QuantizeLinear", &[x, &scale, &zero], |_| {});
        net.node("DequantizeLinear", &[&q, &scale, &zero], |_| {})
    };
    let layer = |net: &mut Net, x: &str| {
        let (w, scales) = (
            integers(net, &[4, 4, 3, 3], Dtype::Int8),
            net.floats(&[4], 0.001, 0.002),
        );
        let w = net.node("DequantizeLinear", &[&w, &scales], |n| n.set_int("axis", 0));
        net.node("Conv", &[x, &w], |n| n.set_ints("pads", vec![1; 4]))
    };
    for (dtype, reason) in [
        (Dtype::Int8, Some("several nodes read its int8 input, on x86")),
        (Dtype::Uint8, None),
    ] {
        let mut net = Net::new(17, 1);
        let x = net.input("image", &[1, 4, 8, 8]);
        let x = pair(&mut net, &x, dtype);
        let y = layer(&mut net, &x);
        let y = pair(&mut net, &y, dtype);
        let y = net.node("Add", &[&x, &y], |_| {});
        net.output(&y);
        let (found, _) = reasons("shortcut.onnx", &net.model());
        assert_eq!(found, [reason.map(str::to_owned)], "{dtype:?}");
    }
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 4, 8, 8]);
    let y = layer(&mut net, &x);
    net.output(&y);
    let (found, _) = reasons("weights.onnx", &net.model());
    assert_eq!(found, [Some("its input is not quantized".to_owned())]);
}
