//! A small detector of nothing and its video files, node by node: one convolution on bands of rows of a camera's frame.

use std::path::{Path, PathBuf};

use snapprune::onnx::proto::{ModelProto, NodeProto};
use snapprune::onnx::{Attributes, Dtype, Tensor, encode};
use snapprune::video::{CHANGE, CHANGED, FrameInput, Manifest, Role, StageTiles, State, VERSION};

use super::net::Net;

pub const SIDE: usize = 32;
const BAND: usize = 4;
const HALO: usize = 1;
pub const BANDS: usize = SIDE / BAND;
const CHANNELS: usize = 3;
const FRAME: [usize; 4] = [1, CHANNELS, SIDE, SIDE];
const MAP: [usize; 4] = [1, 1, SIDE, SIDE];
/// Floats of the frame are 0 to 1.
pub const INPUT: &str = "image";

fn named(name: &str) -> impl FnOnce(&mut NodeProto) + use<> {
    let name = name.to_owned();
    move |n| n.output = vec![name]
}

/// The same network every time.
fn net() -> Net {
    let mut net = Net::new(17, 3);
    net.input(INPUT, &FRAME);
    net
}

fn map(net: &mut Net, x: &str, pads: [i64; 4]) -> String {
    let w = net.weights(&[1, CHANNELS, 3, 3]);
    let y = net.node("Conv", &[x, &w], |n| n.set_ints("pads", pads.to_vec()));
    net.node("Relu", &[&y], |_| {})
}

/// From the map to the output: a number for each column.
fn head(net: &mut Net, map: &str) {
    net.node("ReduceMean", &[map], |n| {
        n.set_ints("axes", vec![2]);
        n.set_int("keepdims", 0);
        n.output = vec!["y".to_owned()];
    });
    net.output("y");
}

fn plain() -> ModelProto {
    let mut net = net();
    let m = map(&mut net, INPUT, [1; 4]);
    head(&mut net, &m);
    net.model()
}

fn dense() -> ModelProto {
    let mut net = net();
    let m = map(&mut net, INPUT, [1; 4]);
    head(&mut net, &m);
    let none = net.constant(&Tensor::from_f32(vec![BANDS], &[0.0; BANDS]));
    for (value, state) in [(&m, "map_next"), (&none, "left_next")] {
        net.node("Identity", &[value], named(state));
        net.output(state);
    }
    net.model()
}

/// The `count` bands that changed most are computed.
fn tiles(count: usize, threshold: f32) -> ModelProto {
    let mut net = net();
    // The weights first, so that they are those of the others.
    let w = net.weights(&[1, CHANNELS, 3, 3]);
    let before = net.input("map", &MAP);
    let away = net.input(CHANGE, &[1, 1, SIDE, 1]);
    let left = net.input("left", &[BANDS]);
    let high = BAND + 2 * HALO;
    let rows: Vec<i64> = (0..BANDS)
        .flat_map(|b| (0..high).map(move |r| (b * BAND + r) as i64))
        .collect();
    let rows = Tensor {
        dims: vec![BANDS, high],
        ..Tensor::from_i64(&rows)
    };
    let rows = net.constant(&rows);
    let around = net.ints(&[0, 0, HALO as i64, 0, 0, 0, HALO as i64, 0]);
    let threshold = net.constant(&Tensor::from_f32(vec![], &[threshold]));
    let k = net.ints(&[count as i64]);
    let across = |n: &mut NodeProto| n.set_int("axis", 2);
    let whole = |n: &mut NodeProto| n.set_int("to", Dtype::Int64 as i64);
    let op = |net: &mut Net, op: &str, inputs: &[&str]| net.node(op, inputs, |_| {});

    let wide = op(&mut net, "Pad", &[&away, &around]);
    let each = net.node("Gather", &[&wide, &rows], across);
    let change = net.node("ReduceMax", &[&each], |n| {
        n.set_ints("axes", vec![0, 1, 3, 4]);
        n.set_int("keepdims", 0);
    });
    let score = op(&mut net, "Max", &[&change, &left]);
    let best = net.node_many("TopK", &[&score, &k], 2, |_| {});
    let (best, chosen) = (&best[0], &best[1]);
    let none = net.constant(&Tensor::from_f32(vec![count], &vec![0.0; count]));
    net.node("ScatterElements", &[&score, chosen, &none], named("left_next"));
    let counted = |net: &mut Net, scores: &str| {
        let over = op(net, "Greater", &[scores, &threshold]);
        let over = net.node("Cast", &[&over], whole);
        op(net, "ReduceSum", &[&over])
    };
    let (all, done) = (counted(&mut net, &score), counted(&mut net, best));
    let one = net.ints(&[1]);
    let behind = op(&mut net, "Sub", &[&all, &done]);
    net.node("Reshape", &[&behind, &one], named(CHANGED));

    let wide = op(&mut net, "Pad", &[INPUT, &around]);
    let own = op(&mut net, "Gather", &[&rows, chosen]);
    let own = net.node("Gather", &[&wide, &own], across);
    // Channels, bands, rows: the bands become the batch.
    let own = net.node("Transpose", &[&own], |n| n.set_ints("perm", vec![0, 2, 1, 3, 4]));
    let shape = net.ints(&[count as i64, CHANNELS as i64, high as i64, SIDE as i64]);
    let own = op(&mut net, "Reshape", &[&own, &shape]);
    let made = net.node("Conv", &[&own, &w], |n| n.set_ints("pads", vec![0, 1, 0, 1]));
    let made = op(&mut net, "Relu", &[&made]);
    let flat = net.ints(&[-1, (BAND * SIDE) as i64]);
    let (made, kept) = (
        op(&mut net, "Reshape", &[&made, &flat]),
        op(&mut net, "Reshape", &[&before, &flat]),
    );
    let last = net.ints(&[-1]);
    let places = op(&mut net, "Unsqueeze", &[chosen, &last]);
    let kept = op(&mut net, "ScatterND", &[&kept, &places, &made]);
    let shape = net.ints(&MAP.map(|d| d as i64));
    net.node("Reshape", &[&kept, &shape], named("map_next"));
    head(&mut net, "map_next");
    for output in ["map_next", "left_next", CHANGED] {
        net.output(output);
    }
    net.model()
}

/// Writes `bands.onnx` and its video files, which compute two and four of eight bands; the folder's model. |difference| above `threshold` is change.
pub fn write(folder: &Path, threshold: f64) -> PathBuf {
    let state = |name: &str, shape: &[usize]| State {
        input: name.to_owned(),
        output: format!("{name}_next"),
        shape: shape.to_vec(),
        dtype: "float32".to_owned(),
        // Nothing reads the map that was kept but what writes the new one.
        in_place: name == "map",
    };
    let manifest = |role, computed: usize| Manifest {
        version: VERSION,
        role,
        share: computed as f64 / BANDS as f64,
        threshold,
        frame_threshold: threshold,
        frame: FrameInput {
            input: INPUT.to_owned(),
            shape: FRAME.to_vec(),
            tile: [BAND, SIDE],
            halo: [HALO, 0],
            tiles: [BANDS, 1],
            cell: [1, SIDE],
            change: CHANGE.to_owned(),
        },
        limit: 0.6,
        states: vec![state("map", &MAP), state("left", &[BANDS])],
        stages: vec![StageTiles {
            name: "map".to_owned(),
            tiles: BANDS,
            computed,
        }],
        changed: CHANGED.to_owned(),
        ratio: 0.0,
        set: String::new(),
    };
    let save = |name: &str, mut model: ModelProto, manifest: Manifest| {
        manifest.write(&mut model).unwrap();
        std::fs::write(folder.join(name), encode(&model)).unwrap();
    };
    let file = folder.join("bands.onnx");
    std::fs::write(&file, encode(&plain())).unwrap();
    save("bands.snap.video-dense.onnx", dense(), manifest(Role::Dense, BANDS));
    for (computed, name) in [(2, "bands.snap.video-25.onnx"), (4, "bands.snap.video-50.onnx")] {
        save(name, tiles(computed, threshold as f32), manifest(Role::Tiles, computed));
    }
    file
}
