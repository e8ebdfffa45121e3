//! Random graphs of the operators that CNNs are made of.

use std::ops::Range;

use snapprune::onnx::Attributes;
use snapprune::onnx::proto::ModelProto;

use super::net::Net;

/// The graph that a seed draws.
pub fn drawn(seed: u64, steps: usize) -> ModelProto {
    let mut random = fastrand::Rng::with_seed(seed);
    generate(seed, steps, &mut |range| random.usize(range))
}

/// A feature map of the generated graph.
#[derive(Clone, Debug)]
struct Map {
    name: String,
    channels: usize,
    side: usize,
}

/// A graph of `steps` operators as `pick` chooses: residual trees, concatenations of splits, shuffles, depthwise and
/// grouped convolutions, padded shortcuts, gathers, gates, attention over channels, shared weights. `seed` draws the weights.
pub fn generate(seed: u64, steps: usize, pick: &mut dyn FnMut(Range<usize>) -> usize) -> ModelProto {
    let mut net = Net::new(13, seed);
    let image = net.input("image", &[1, 3, 8, 8]);
    let stem = net.conv(&image, 3, 8, 3, 1);
    let mut maps = vec![Map {
        name: stem,
        channels: 8,
        side: 8,
    }];
    for _ in 0..steps {
        let at = pick(maps.len().saturating_sub(3)..maps.len());
        let x = maps[at].clone();
        let (c, side) = (x.channels, x.side);
        let made = |name: String, channels: usize, side: usize| Map { name, channels, side };
        match pick(0..26) {
            0 | 1 => {
                let wide = pick(2..14);
                let name = net.conv(&x.name, c, wide, 3, 1);
                maps.push(made(name, wide, side));
            }
            2 => {
                let name = net.conv(&x.name, c, c, 3, c);
                maps.push(made(name, c, side));
            }
            3 => {
                let name = net.conv(&x.name, c, 2 * c, 3, c);
                maps.push(made(name, 2 * c, side));
            }
            4 if c % 2 == 0 => {
                let name = net.conv(&x.name, c, 6, 3, 2);
                maps.push(made(name, 6, side));
            }
            5 => {
                let op = ["Relu", "Sigmoid", "HardSwish", "Tanh", "Neg", "Abs"][pick(0..6)];
                let op = if op == "HardSwish" { "Softplus" } else { op };
                let name = net.node(op, &[&x.name], |_| {});
                maps.push(made(name, c, side));
            }
            6 | 7 => {
                let partner = maps
                    .iter()
                    .rev()
                    .find(|m| m.channels == c && m.side == side && m.name != x.name)
                    .cloned();
                let other = partner.unwrap_or_else(|| made(net.conv(&x.name, c, c, 1, 1), c, side));
                let name = net.node("Add", &[&x.name, &other.name], |_| {});
                maps.push(made(name, c, side));
            }
            8 | 9 => {
                let partner = maps
                    .iter()
                    .rev()
                    .find(|m| m.side == side && m.channels + c <= 40)
                    .cloned()
                    .unwrap_or(x.clone());
                let name = net.node("Concat", &[&x.name, &partner.name], |n| n.set_int("axis", 1));
                maps.push(made(name, c + partner.channels, side));
            }
            10 if c >= 4 => {
                let first = pick(1..c);
                let sizes = net.ints(&[first as i64, (c - first) as i64]);
                let parts = net.node_many("Split", &[&x.name, &sizes], 2, |n| n.set_int("axis", 1));
                maps.push(made(parts[0].clone(), first, side));
                maps.push(made(parts[1].clone(), c - first, side));
            }
            11 if c % 2 == 0 && c >= 4 => {
                let (half, s) = ((c / 2) as i64, side as i64);
                let (split, back) = (net.ints(&[1, 2, half, s, s]), net.ints(&[1, c as i64, s, s]));
                let r = net.node("Reshape", &[&x.name, &split], |_| {});
                let t = net.node("Transpose", &[&r], |n| n.set_ints("perm", vec![0, 2, 1, 3, 4]));
                let name = net.node("Reshape", &[&t, &back], |_| {});
                maps.push(made(name, c, side));
            }
            12 => {
                let count = pick(1..c + 3);
                let picks: Vec<i64> = (0..count).map(|_| pick(0..c) as i64).collect();
                let indices = net.ints(&picks);
                let name = net.node("Gather", &[&x.name, &indices], |n| n.set_int("axis", 1));
                maps.push(made(name, count, side));
            }
            13 => {
                let (before, behind) = (pick(0..3) as i64, pick(0..3) as i64);
                let pads = net.ints(&[0, before, 0, 0, 0, behind, 0, 0]);
                let name = net.node("Pad", &[&x.name, &pads], |_| {});
                maps.push(made(name, c + (before + behind) as usize, side));
            }
            14 if pick(0..2) == 1 => {
                // Attention over channels, on the map or in a branch beside it.
                let name = if pick(0..2) == 1 {
                    net.eca(&x.name, 3)
                } else {
                    let branch = net.conv(&x.name, c, c, 3, 1);
                    let branch = net.eca(&branch, 3);
                    net.node("Add", &[&x.name, &branch], |_| {})
                };
                maps.push(made(name, c, side));
            }
            14 => {
                let pooled = net.node("GlobalAveragePool", &[&x.name], |_| {});
                let squeezed = net.conv(&pooled, c, 3, 1, 1);
                let relu = net.node("Relu", &[&squeezed], |_| {});
                let gate = net.conv(&relu, 3, c, 1, 1);
                let gate = net.node("Sigmoid", &[&gate], |_| {});
                let name = net.node("Mul", &[&x.name, &gate], |_| {});
                maps.push(made(name, c, side));
            }
            15 => {
                let (s, b) = (net.floats(&[c], 0.5, 1.5), net.floats(&[c], -0.5, 0.5));
                let (m, v) = (net.floats(&[c], -0.2, 0.2), net.floats(&[c], 0.5, 1.5));
                let name = net.node("BatchNormalization", &[&x.name, &s, &b, &m, &v], |_| {});
                maps.push(made(name, c, side));
            }
            16 if side >= 4 => {
                let name = net.node("MaxPool", &[&x.name], |n| {
                    n.set_ints("kernel_shape", vec![2, 2]);
                    n.set_ints("strides", vec![2, 2]);
                });
                maps.push(made(name, c, side / 2));
            }
            17 if c % 4 == 0 && side <= 4 => {
                let name = net.node("DepthToSpace", &[&x.name], |n| n.set_int("blocksize", 2));
                maps.push(made(name, c / 4, side * 2));
            }
            18 if side <= 8 => {
                let (w, b) = (net.weights(&[c, 6, 2, 2]), net.floats(&[6], -0.3, 0.3));
                let name = net.node("ConvTranspose", &[&x.name, &w, &b], |n| {
                    n.set_ints("strides", vec![2, 2])
                });
                maps.push(made(name, 6, side * 2));
            }
            19 if c >= 3 => {
                let first = pick(0..c - 1);
                let last = pick(first + 1..c + 1);
                let (starts, ends) = (net.ints(&[first as i64]), net.ints(&[last as i64]));
                let axes = net.ints(&[1]);
                let name = net.node("Slice", &[&x.name, &starts, &ends, &axes], |_| {});
                maps.push(made(name, last - first, side));
            }
            20 => {
                let slope = net.floats(&[c, 1, 1], 0.1, 0.4);
                let name = net.node("PRelu", &[&x.name, &slope], |_| {});
                maps.push(made(name, c, side));
            }
            21 => {
                let (s, b) = (net.floats(&[1, c, 1, 1], 0.5, 1.5), net.floats(&[c, 1, 1], -0.5, 0.5));
                let scaled = net.node("Mul", &[&x.name, &s], |_| {});
                let name = net.node("Add", &[&scaled, &b], |_| {});
                maps.push(made(name, c, side));
            }
            22 => {
                // A gate of one map: the mean over the channels.
                let mean = net.node("ReduceMean", &[&x.name], |n| n.set_ints("axes", vec![1]));
                let gate = net.node("Sigmoid", &[&mean], |_| {});
                let name = net.node("Mul", &[&x.name, &gate], |_| {});
                maps.push(made(name, c, side));
            }
            23 => {
                let (s, b) = (net.floats(&[c], 0.5, 1.5), net.floats(&[c], -0.5, 0.5));
                let name = net.node("InstanceNormalization", &[&x.name, &s, &b], |_| {});
                maps.push(made(name, c, side));
            }
            24 => {
                // A layer on the flattened map, as many numbers as the map has, back in its shape.
                let flat = net.node("Flatten", &[&x.name], |_| {});
                let (w, b) = (net.weights(&[5, c * side * side]), net.floats(&[5], -0.2, 0.2));
                let small = net.node("Gemm", &[&flat, &w, &b], |n| n.set_int("transB", 1));
                let shape = net.ints(&[1, 5, 1, 1]);
                let name = net.node("Reshape", &[&small, &shape], |_| {});
                maps.push(made(name, 5, 1));
            }
            _ => {
                // Two layers that share weights and bias.
                let (w, b) = (net.weights(&[5, c, 1, 1]), net.floats(&[5], -0.5, 0.5));
                for _ in 0..2 {
                    let name = net.node("Conv", &[&x.name, &w, &b], |_| {});
                    maps.push(made(name, 5, side));
                }
            }
        }
    }
    for k in 0..maps.len().min(2) {
        let last = maps[maps.len() - 1 - k].clone();
        let out = net.conv(&last.name, last.channels, 3, 1, 1);
        net.output(&out);
    }
    net.model()
}
