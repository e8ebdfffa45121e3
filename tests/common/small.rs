//! A network that everything is quick with.

use std::path::{Path, PathBuf};

use ndarray::Array4;
use ndarray_npy::NpzWriter;
use snapprune::onnx::{Attributes, encode};

use super::net::Net;

/// A small network on 32×32 images, and samples for it.
pub fn small(folder: &Path) -> (PathBuf, PathBuf) {
    let mut net = Net::new(17, 5);
    let mut x = net.input("image", &[1, 3, 32, 32]);
    for (cin, cout) in [(3, 32), (32, 48), (48, 64)] {
        x = net.conv(&x, cin, cout, 3, 1);
        x = net.node("Relu", &[&x], |_| {});
    }
    let x = net.node("GlobalAveragePool", &[&x], |_| {});
    let x = net.node("Flatten", &[&x], |_| {});
    let (w, b) = (net.weights(&[10, 64]), net.floats(&[10], -0.3, 0.3));
    let x = net.node("Gemm", &[&x, &w, &b], |n| n.set_int("transB", 1));
    net.output(&x);
    let (file, samples) = (folder.join("small.onnx"), folder.join("samples.npz"));
    std::fs::write(&file, encode(&net.model())).unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let images = Array4::from_shape_simple_fn((64, 3, 32, 32), || random.f32());
    let mut npz = NpzWriter::new(std::fs::File::create(&samples).unwrap());
    npz.add_array("image", &images).unwrap();
    npz.finish().unwrap();
    (file, samples)
}
