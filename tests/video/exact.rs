//! The exact files: what tiles make is what the whole makes.

use super::play::Files;
use crate::common::net::{Net, set_text};
use crate::common::zoo_model;
use snapprune::gate::raise_opset;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Dtype, parse};
use snapprune::playback::FrameTiles;

/// Everything is cut: nothing is expected to cost anything.
const ALWAYS: f64 = 1e-9;

pub fn exact(name: &str, model: &ModelProto) {
    let files = Files::new(model, ALWAYS, 0.1);
    let (apart, runs) = files.apart(4, 0.05, 3);
    println!(
        "{name}: {} stages, apart {apart:.1e}, {runs} runs",
        files.manifest.stages.len()
    );
    assert!(apart <= 1e-5, "{name} is {apart} apart");
    let stages = &files.manifest.stages;
    assert!(stages.iter().any(|s| s.computed < s.tiles), "{name}: {stages:?}");
    FrameTiles::new(&files.manifest.frame, 0.0).unwrap();
}

pub fn plain(height: usize, width: usize) -> Net {
    let mut net = Net::new(13, 1);
    net.input("image", &[1, 3, height, width]);
    net
}

pub fn strided(net: &mut Net, x: &str, cin: usize, cout: usize, stride: i64) -> String {
    let w = net.weights(&[cout, cin, 3, 3]);
    net.node("Conv", &[x, &w], |n| {
        n.set_ints("pads", vec![1; 4]);
        n.set_ints("strides", vec![stride; 2]);
    })
}

#[test]
fn chains_with_strides_and_odd_extents_come_out_the_same() {
    for (height, width) in [(64, 64), (61, 75), (48, 90)] {
        let mut net = plain(height, width);
        let mut x = "image".to_owned();
        for (cin, cout, stride) in [(3, 8, 2), (8, 8, 1), (8, 16, 2), (16, 16, 1)] {
            x = strided(&mut net, &x, cin, cout, stride);
            x = net.node("Relu", &[&x], |_| {});
        }
        net.output(&x);
        exact(&format!("chain {height}x{width}"), &net.model());
    }
}

/// Rows that no window reads, and maps smaller than what was read.
#[test]
fn layers_without_pads_come_out_the_same() {
    for (side, kernel, stride, pool) in [
        (97, 2, 2, true),
        (66, 3, 2, false),
        (64, 5, 1, false),
        (65, 7, 3, false),
    ] {
        let mut net = plain(side, side);
        let x = match pool {
            true => net.node("MaxPool", &["image"], |n| {
                n.set_ints("kernel_shape", vec![kernel; 2]);
                n.set_ints("strides", vec![stride; 2]);
            }),
            false => {
                let w = net.weights(&[8, 3, kernel as usize, kernel as usize]);
                net.node("Conv", &["image", &w], |n| n.set_ints("strides", vec![stride; 2]))
            }
        };
        let x = net.conv(&x, if pool { 3 } else { 8 }, 8, 3, 1);
        let x = net.node("Relu", &[&x], |_| {});
        let x = net.conv(&x, 8, 8, 3, 1);
        net.output(&x);
        exact(&format!("{side} by {kernel}/{stride}"), &net.model());
    }
}

/// Maps of coordinates are joined with the whole map only.
#[test]
fn constant_maps_come_out_the_same() {
    let mut net = plain(64, 64);
    let x = strided(&mut net, "image", 3, 8, 1);
    let places: Vec<f32> = (0..2 * 64 * 64).map(|k| k as f32 / 8192.0).collect();
    let places = net.constant(&snapprune::onnx::Tensor::from_f32(vec![1, 2, 64, 64], &places));
    let x = net.node("Concat", &[&x, &places], |n| n.set_int("axis", 1));
    let x = net.conv(&x, 10, 8, 3, 1);
    let x = net.node("Relu", &[&x], |_| {});
    let x = net.conv(&x, 8, 8, 3, 1);
    net.output(&x);
    exact("coordinates", &net.model());
}

#[test]
fn residuals_dilations_groups_and_pools_come_out_the_same() {
    let mut net = plain(64, 80);
    let x = strided(&mut net, "image", 3, 16, 2);
    let a = net.conv(&x, 16, 16, 3, 16);
    let a = net.node("Sigmoid", &[&a], |_| {});
    let w = net.weights(&[16, 4, 3, 3]);
    let b = net.node("Conv", &[&a, &w], |n| {
        n.set_int("group", 4);
        n.set_ints("pads", vec![3; 4]);
        n.set_ints("dilations", vec![3; 2]);
    });
    let sum = net.node("Add", &[&x, &b], |_| {});
    let pooled = net.node("MaxPool", &[&sum], |n| {
        n.set_ints("kernel_shape", vec![3; 2]);
        n.set_ints("strides", vec![2; 2]);
        n.set_ints("pads", vec![1; 4]);
    });
    let mean = net.node("AveragePool", &[&sum], |n| {
        n.set_ints("kernel_shape", vec![2; 2]);
        n.set_ints("strides", vec![2; 2]);
    });
    let both = net.node("Concat", &[&pooled, &mean], |n| n.set_int("axis", 1));
    let last = net.conv(&both, 32, 8, 1, 1);
    net.output(&last);
    exact("residual", &net.model());
}

#[test]
fn what_is_enlarged_and_joined_comes_out_the_same() {
    let mut net = plain(64, 64);
    let first = strided(&mut net, "image", 3, 8, 2);
    let deep = strided(&mut net, &first, 8, 16, 2);
    let scales = net.constant(&snapprune::onnx::Tensor::from_f32(vec![4], &[1.0, 1.0, 2.0, 2.0]));
    for mode in ["nearest", "linear"] {
        let up = net.node("Resize", &[&deep, "", &scales], |n| {
            set_text(n, "mode", mode);
            if mode == "nearest" {
                set_text(n, "coordinate_transformation_mode", "asymmetric");
                set_text(n, "nearest_mode", "floor");
            }
        });
        let both = net.node("Concat", &[&up, &first], |n| n.set_int("axis", 1));
        let last = net.conv(&both, 24, 8, 3, 1);
        net.output(&last);
    }
    let w = net.weights(&[16, 4, 4, 4]);
    let turned = net.node("ConvTranspose", &[&deep, &w], |n| {
        n.set_ints("pads", vec![1; 4]);
        n.set_ints("strides", vec![2; 2]);
    });
    net.output(&turned);
    exact("enlarged", &net.model());
}

#[test]
fn modules_that_see_everything_run_on_whole_maps_between_stages() {
    let mut net = plain(64, 64);
    let x = strided(&mut net, "image", 3, 8, 2);
    let x = net.node("Relu", &[&x], |_| {});
    let mean = net.node("GlobalAveragePool", &[&x], |_| {});
    let scale = net.node("Sigmoid", &[&mean], |_| {});
    let x = net.node("Mul", &[&x, &scale], |_| {});
    let x = strided(&mut net, &x, 8, 8, 2);
    let x = net.node("Relu", &[&x], |_| {});
    let x = net.conv(&x, 8, 8, 3, 1);
    let flat = net.node("Flatten", &[&x], |_| {});
    let w = net.weights(&[8 * 16 * 16, 10]);
    let logits = net.node("MatMul", &[&flat, &w], |_| {});
    net.output(&logits);
    exact("squeeze and excite", &net.model());
}

/// Layers, also of single channels and with strides, pools, what is enlarged and joined, all as rows of single places.
pub fn branched() -> ModelProto {
    let mut net = plain(96, 80);
    let x = strided(&mut net, "image", 3, 8, 2);
    let x = net.node("Relu", &[&x], |_| {});
    let mut x = strided(&mut net, &x, 8, 16, 1);
    for _ in 0..2 {
        let a = net.conv(&x, 16, 16, 3, 16);
        let a = net.node("Sigmoid", &[&a], |_| {});
        let b = net.conv(&a, 16, 16, 1, 1);
        x = net.node("Add", &[&x, &b], |_| {});
    }
    let pooled = net.node("MaxPool", &[&x], |n| {
        n.set_ints("kernel_shape", vec![3; 2]);
        n.set_ints("strides", vec![2; 2]);
        n.set_ints("pads", vec![1; 4]);
    });
    let deep = strided(&mut net, &pooled, 16, 16, 1);
    let scales = net.constant(&snapprune::onnx::Tensor::from_f32(vec![4], &[1.0, 1.0, 2.0, 2.0]));
    let up = net.node("Resize", &[&deep, "", &scales], |n| {
        set_text(n, "coordinate_transformation_mode", "asymmetric");
        set_text(n, "nearest_mode", "floor");
    });
    let both = net.node("Concat", &[&up, &x], |n| n.set_int("axis", 1));
    let last = net.conv(&both, 32, 8, 3, 1);
    net.output(&last);
    net.model()
}

#[test]
fn single_places_come_out_the_same() {
    let files = Files::new(&branched(), 1e-6, 0.02);
    let single = |s: &&snapprune::video::StageTiles| s.tiles == 48 * 40 || s.tiles == 24 * 20;
    let stages = &files.manifest.stages;
    assert!(stages.iter().filter(single).count() > 2, "{stages:?}");
    let (apart, _) = files.apart(4, 0.02, 5);
    assert!(apart <= 1e-5, "{apart}");
}

#[test]
fn runs_of_layers_come_out_the_same_where_all_of_their_places_are_computed() {
    let files = Files::cut(&branched(), 1e-6, 0.02, true);
    assert!(files.runs > 0, "{:?}", files.manifest.stages);
    let (apart, _) = files.apart(4, 0.02, 5);
    assert!(apart <= 1e-5, "{apart}");
}

#[test]
fn models_of_the_zoo_come_out_the_same() {
    for name in ["ultraface_rfb_320", "resnet18", "yolox_nano"] {
        let Some(path) = zoo_model(name) else { continue };
        let mut model = parse(std::fs::read(path).unwrap()).unwrap().proto;
        raise_opset(&mut model).unwrap();
        let begin = std::time::Instant::now();
        let files = Files::new(&model, 1.0, 0.1);
        println!("{name}: planned in {:.1} s", begin.elapsed().as_secs_f64());
        for stage in &files.manifest.stages {
            println!("  {} {}/{}", stage.name, stage.computed, stage.tiles);
        }
        let (apart, runs) = files.apart(2, 0.05, 3);
        println!("{name}: apart {apart:.1e}, {runs} runs");
        assert!(apart <= 1e-4, "{name} is {apart} apart");
    }
}

/// Maps that grow. Windows that see nothing of the map are none of a tile.
#[test]
fn wide_pads_come_out_the_same() {
    for pads in [[2, 2, 2, 2], [0, 1, 2, 2]] {
        let mut net = plain(64, 64);
        let w = net.weights(&[8, 3, 3, 3]);
        let x = net.node("Conv", &["image", &w], |n| n.set_ints("pads", pads.to_vec()));
        let x = net.node("Relu", &[&x], |_| {});
        let x = net.conv(&x, 8, 8, 3, 1);
        let x = net.node("Relu", &[&x], |_| {});
        let x = net.conv(&x, 8, 8, 3, 1);
        net.output(&x);
        exact(&format!("pads {pads:?}"), &net.model());
    }
}

/// States are 32-bit floats: what is of another type is computed as a whole.
#[test]
fn maps_of_other_types_come_out_the_same() {
    let types = [Dtype::Float16, Dtype::Int32, Dtype::Int64];
    for dtype in types {
        let mut net = plain(64, 64);
        let x = strided(&mut net, "image", 3, 8, 1);
        let x = net.node("Relu", &[&x], |_| {});
        let other = net.node("Cast", &[&x], |n| n.set_int("to", dtype as i64));
        let other = net.node("Add", &[&other, &other], |_| {});
        let other = net.node("Identity", &[&other], |_| {});
        let back = net.node("Cast", &[&other], |n| n.set_int("to", Dtype::Float as i64));
        let both = net.node("Add", &[&x, &back], |_| {});
        let last = net.conv(&both, 8, 8, 3, 1);
        net.output(&last);
        exact(&format!("{dtype:?}"), &net.model());
    }
}

/// The places of a map of classes, as models for segmentation end.
#[test]
fn maps_of_classes_come_out_the_same() {
    let mut net = plain(64, 64);
    let x = strided(&mut net, "image", 3, 8, 1);
    let x = net.node("Relu", &[&x], |_| {});
    let x = net.conv(&x, 8, 8, 3, 1);
    let best = net.node("ArgMax", &[&x], |n| n.set_int("axis", 1));
    let best = net.node("Identity", &[&best], |_| {});
    net.output(&best);
    net.output(&x);
    exact("classes", &net.model());
}
