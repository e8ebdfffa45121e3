//! The files that the pages name: a model, and samples for it.

use std::path::Path;

use crate::common::bands;
use crate::common::line_reader::line_reader;
use crate::common::net::Net;
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::proto::tensor_shape_proto::dimension::Value as Dim;
use snapprune::onnx::proto::type_proto::Value as Type;
use snapprune::onnx::{Attributes, encode};

/// A small residual network with misaligned widths with an open batch, on 96×96 images.
pub(super) fn small() -> ModelProto {
    let mut net = Net::new(17, 5);
    let x = net.input("image", &[1, 3, 96, 96]);
    let shrink = |net: &mut Net, x: &str, cin: usize, cout: usize| {
        let (w, b) = (net.weights(&[cout, cin, 3, 3]), net.floats(&[cout], -0.3, 0.3));
        let y = net.node("Conv", &[x, &w, &b], |n| {
            n.set_ints("strides", vec![4, 4]);
            n.set_ints("pads", vec![1; 4]);
        });
        net.node("Relu", &[&y], |_| {})
    };
    let x = shrink(&mut net, &x, 3, 29);
    let x = shrink(&mut net, &x, 29, 32);
    let y = net.conv(&x, 32, 45, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.conv(&y, 45, 32, 3, 1);
    let y = net.node("Add", &[&x, &y], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.node("GlobalAveragePool", &[&y], |_| {});
    let y = net.node("Flatten", &[&y], |_| {});
    let (w, b) = (net.weights(&[10, 32]), net.floats(&[10], -0.3, 0.3));
    let y = net.node("Gemm", &[&y, &w, &b], |n| n.set_int("transB", 1));
    net.output(&y);
    let mut model = net.model();
    let input = &mut model.graph.as_mut().unwrap().input[0];
    let Some(Type::TensorType(t)) = input.r#type.as_mut().unwrap().value.as_mut() else {
        panic!("the input is a tensor")
    };
    t.shape.as_mut().unwrap().dim[0].value = Some(Dim::DimParam("N".to_owned()));
    model
}

/// A reader of lines: steps of ten digits and a blank, on 16×64 images.
pub(super) fn reader() -> ModelProto {
    line_reader(11, 64)
}

/// A folder of lines with a text for each, and a model that reads them.
pub(super) fn lines(folder: &Path) {
    let mut random = fastrand::Rng::with_seed(7);
    std::fs::create_dir(folder.join("lines")).unwrap();
    let mut texts = String::new();
    for k in 0..6 {
        let image = image::RgbImage::from_fn(64, 16, |_, _| image::Rgb([random.u8(..), random.u8(..), random.u8(..)]));
        image.save(folder.join(format!("lines/{k}.png"))).unwrap();
        texts += &format!("{k}.png\t{}\n", 123 * k);
    }
    std::fs::write(folder.join("lines.txt"), texts).unwrap();
    std::fs::write(folder.join("reader.onnx"), encode(&reader())).unwrap();
}

/// Images that differ, with labels.
pub(super) fn samples(path: &Path, count: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let images = Array4::from_shape_simple_fn((count, 96, 96, 3), || random.u8(..));
    let labels = Array1::from_shape_simple_fn(count, || i64::from(random.u8(..10)));
    let mut file = NpzWriter::new(std::fs::File::create(path).unwrap());
    file.add_array("images", &images).unwrap();
    file.add_array("labels", &labels).unwrap();
    file.finish().unwrap();
}

/// A folder of images with one of masks, and a metric.
pub(super) fn pictures(folder: &Path) {
    let mut random = fastrand::Rng::with_seed(6);
    for part in ["images", "masks"] {
        std::fs::create_dir(folder.join(part)).unwrap();
    }
    for k in 0..24 {
        let image = image::RgbImage::from_fn(50, 40, |_, _| image::Rgb([random.u8(..), random.u8(..), random.u8(..)]));
        image.save(folder.join(format!("images/{k:02}.jpg"))).unwrap();
        let mask = image::GrayImage::from_fn(50, 40, |x, _| image::Luma([(x / 20) as u8]));
        mask.save(folder.join(format!("masks/{k:02}.png"))).unwrap();
    }
    let metric = "def score(outputs, labels=None, original=None):\n    first = next(iter(outputs))\n    \
                  right = original[first].argmax(1) if labels is None or labels.ndim > 1 else labels\n    \
                  return (outputs[first].argmax(1) == right).mean()\n";
    std::fs::write(folder.join("metric.py"), metric).unwrap();
}
/// A folder with frames for the model, one with the files of a video, and frames for these.
pub(super) fn camera(folder: &Path) {
    let mut random = fastrand::Rng::with_seed(8);
    std::fs::create_dir(folder.join("frames")).unwrap();
    let mut pixels: Vec<u8> = (0..96 * 96 * 3).map(|_| random.u8(..)).collect();
    for k in 0..10 {
        // A bright square goes over noise that stays.
        let frame = image::RgbImage::from_fn(96, 96, |x, y| {
            let at = ((y * 96 + x) * 3) as usize;
            let over = (8 * k..8 * k + 12).contains(&x) && (40..52).contains(&y);
            image::Rgb(if over {
                [240; 3]
            } else {
                [pixels[at], pixels[at + 1], pixels[at + 2]]
            })
        });
        frame.save(folder.join(format!("frames/{k:02}.png"))).unwrap();
    }
    pixels.truncate(3 * bands::SIDE * bands::SIDE);
    std::fs::create_dir(folder.join("camera")).unwrap();
    bands::write(&folder.join("camera"), 0.5);
    let frames = Array4::from_shape_fn((6, 3, bands::SIDE, bands::SIDE), |(_, c, y, x)| {
        f32::from(pixels[(c * bands::SIDE + y) * bands::SIDE + x]) / 255.0
    });
    let mut file = NpzWriter::new(std::fs::File::create(folder.join("frames.npz")).unwrap());
    file.add_array(bands::INPUT, &frames).unwrap();
    file.finish().unwrap();
}
