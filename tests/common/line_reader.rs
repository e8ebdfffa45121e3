//! Readers of lines, as networks for text recognition are.

use snapprune::onnx::Attributes;
use snapprune::onnx::proto::ModelProto;

use super::net::Net;

/// Steps of four columns of images of 16 rows, each a share for each class.
pub fn line_reader(classes: usize, columns: usize) -> ModelProto {
    let mut net = Net::new(17, 8);
    let x = net.input("image", &[1, 3, 16, columns]);
    let w = net.floats(&[classes, 3, 16, 4], -0.4, 0.4);
    let y = net.node("Conv", &[&x, &w], |n| n.set_ints("strides", vec![16, 4]));
    let two = net.ints(&[2]);
    let y = net.node("Squeeze", &[&y, &two], |_| {});
    let y = net.node("Transpose", &[&y], |n| n.set_ints("perm", vec![0, 2, 1]));
    let y = net.node("Softmax", &[&y], |n| n.set_int("axis", -1));
    net.output(&y);
    net.model()
}
