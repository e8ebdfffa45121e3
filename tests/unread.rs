//! Channels that nothing reads go before any that the outputs rest on, also where something is given up for a goal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::command::reported;
use common::net::Net;
use ndarray::Array4;
use ndarray_npy::NpzWriter;
use serde_json::Value;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, encode};

/// A layer of which the second half of the outputs is split off and read by nobody.
fn half_unread() -> ModelProto {
    let mut net = Net::new(17, 3);
    let image = net.input("image", &[1, 3, 16, 16]);
    let x = net.conv(&image, 3, 16, 3, 1);
    let x = net.conv(&x, 16, 32, 3, 1);
    let halves = net.ints(&[16, 16]);
    let parts = net.node_many("Split", &[&x, &halves], 2, |n| n.set_int("axis", 1));
    let x = net.conv(&parts[0], 16, 24, 3, 1);
    net.output(&x);
    net.model()
}

#[test]
fn what_nobody_reads_goes_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = (folder.path().join("net.onnx"), folder.path().join("samples.npz"));
    std::fs::write(&net, encode(&half_unread())).unwrap();
    let mut file = NpzWriter::new(std::fs::File::create(&samples).unwrap());
    let mut random = fastrand::Rng::with_seed(5);
    let images = Array4::from_shape_simple_fn((32, 3, 16, 16), || random.f32() - 0.5);
    file.add_array("image", &images).unwrap();
    file.finish().unwrap();
    let out = folder.path().join("out.onnx");
    for calib in [&["--calib", samples.to_str().unwrap()][..], &[]] {
        let mut args = vec![
            net.to_str().unwrap(),
            "--target-macs",
            "0.8x",
            "--allow-slower",
            "-o",
            out.to_str().unwrap(),
        ];
        args.extend(["--dynamic", "off"]);
        args.extend(calib);
        let (code, report) = reported(&args);
        assert_eq!(code, Some(0), "{report:#}");
        let changed = |g: &&Value| g["width_before"] != g["width_after"];
        let changed: Vec<&Value> = report["groups"].as_array().unwrap().iter().filter(changed).collect();
        assert!(changed.len() == 1 && changed[0]["width_after"] == 1, "{changed:?}");
        assert_eq!(report["verify"]["max_rel_diff"], 0.0, "{report}");
    }
}
