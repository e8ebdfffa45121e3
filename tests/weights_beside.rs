//! Weights in a file beside the model: written and read again, by others too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::{Path, PathBuf};

use common::command::{model, snapprune};
use common::net::{Net, entry};
use common::{cpu, runtime};
use protobuf::Message as _;
use snapprune::device::{Executor, ShapeOptions, input_specs, random_inputs};
use snapprune::onnx::proto::{AttributeProto, GraphProto, tensor_proto::DataLocation};
use snapprune::onnx::{Attributes, Dtype, Graph, Model, Saved, Tensor, Weights, encode, load, save_model};
use snapprune::optimize::open;
use snapprune::plan::{Plan, PlanFile, removable};

const BESIDE: Weights = Weights {
    beside: true,
    threshold: 1024,
};

fn names(folder: &Path) -> Vec<String> {
    let all = std::fs::read_dir(folder).unwrap();
    let mut all: Vec<String> = all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

fn outputs(model: &Model) -> Vec<(String, Tensor)> {
    let specs = input_specs(&Graph::of(&model.proto).unwrap(), &ShapeOptions::default()).unwrap();
    let inputs = random_inputs(&specs, 3, 1.0).unwrap();
    cpu().outputs(&encode(&model.proto), &inputs).unwrap()
}

/// Writes a plan by which the first free group loses its last `fewer` channels.
fn narrower(model: &Path, plan: &Path, fewer: usize) {
    let opened = open(model, &runtime(), &ShapeOptions::default()).unwrap();
    let graph = opened.graph().unwrap();
    let free = opened.analysis.groups.iter().find(|g| g.constraint.is_none()).unwrap();
    let left = free.classes.len() - fewer;
    let counts = [(free.id, left)].into();
    let wanted = Plan {
        counts,
        ..Plan::default()
    };
    let spare = removable(&graph, &opened.analysis);
    let mut file = PlanFile::new(&opened.model.hash, &graph, &opened.analysis, &wanted, &spare);
    file.groups[0].kept = (0..left).collect();
    std::fs::write(plan, serde_json::to_string(&file).unwrap()).unwrap();
}

#[test]
fn what_is_written_is_read_again_and_by_an_independent_reader() {
    let folder = tempfile::tempdir().unwrap();
    let original = load(&model("shapes96_misaligned.onnx")).unwrap();
    let path = folder.path().join("m.onnx");
    let saved = save_model(&path, &original.bytes, BESIDE).unwrap();
    let [data, own] = saved.as_slice() else {
        panic!("{saved:?}")
    };
    assert_eq!(own.path, path);
    assert_eq!(
        names(folder.path()),
        ["m.onnx", data.path.file_name().unwrap().to_str().unwrap()]
    );
    for Saved { path, hash } in &saved {
        assert_eq!(*hash, blake3::hash(&std::fs::read(path).unwrap()).to_hex().to_string());
    }
    let again = load(&path).unwrap();
    assert!(again.external);
    assert_eq!(outputs(&again), outputs(&original));

    // As others read it: every large weight's bytes are where its entry says, at a place that can be mapped.
    let bytes = std::fs::read(&data.path).unwrap();
    let theirs = onnx_protobuf::ModelProto::parse_from_bytes(&std::fs::read(&path).unwrap()).unwrap();
    let mut outside = 0;
    for (read, whole) in theirs
        .graph
        .initializer
        .iter()
        .zip(&original.graph().unwrap().initializer)
    {
        assert_eq!(read.name, whole.name());
        let want = Tensor::read(whole).unwrap().bytes;
        if read.external_data.is_empty() {
            assert!(want.len() < 1024 && !want.is_empty(), "{}", read.name);
            continue;
        }
        outside += 1;
        let value = |key: &str| read.external_data.iter().find(|e| e.key == key).unwrap().value.clone();
        let (offset, length): (usize, usize) = (value("offset").parse().unwrap(), value("length").parse().unwrap());
        assert_eq!(value("location"), data.path.file_name().unwrap().to_str().unwrap());
        assert!(read.raw_data.is_empty() && offset % if length >= 1 << 20 { 1 << 16 } else { 64 } == 0);
        assert_eq!(bytes[offset..offset + length], want[..], "{}", read.name);
    }
    assert!(outside > 3);
    // ONNX Runtime, from the file.
    let opened = open(&path, &runtime(), &ShapeOptions::default()).unwrap();
    assert_eq!(
        opened.analysis.total_macs(),
        open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default())
            .unwrap()
            .analysis
            .total_macs()
    );
}

#[test]
fn a_threshold_decides_what_goes_out_and_other_contents_get_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let mut original = load(&model("shapes96_misaligned.onnx")).unwrap();
    let all = Weights {
        threshold: usize::MAX,
        ..BESIDE
    };
    assert_eq!(save_model(&path, &original.bytes, all).unwrap().len(), 1);
    let first = save_model(&path, &original.bytes, BESIDE).unwrap();
    let same = save_model(&path, &original.bytes, BESIDE).unwrap();
    assert_eq!(first, same);
    let tensors = &mut original.proto.graph.as_mut().unwrap().initializer;
    let large = tensors.iter_mut().find(|t| t.raw_data().len() > 4096).unwrap();
    common::with_bytes(large, |raw| raw[0] ^= 1);
    let other = save_model(&path, &encode(&original.proto), BESIDE).unwrap();
    // Until the model is replaced its weights must be there; so they are not overwritten.
    assert_ne!(first[0].path, other[0].path);
    assert!(first[0].path.exists());
    assert_eq!(outputs(&load(&path).unwrap()), outputs(&original));
}

#[test]
fn links_in_the_place_of_the_weights_are_replaced_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let original = load(&model("shapes96_misaligned.onnx")).unwrap();
    let saved = save_model(&path, &original.bytes, BESIDE).unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    std::fs::remove_file(&saved[0].path).unwrap();
    std::os::unix::fs::symlink(&victim, &saved[0].path).unwrap();
    save_model(&path, &original.bytes, BESIDE).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    assert_eq!(outputs(&load(&path).unwrap()), outputs(&original));
}

#[test]
fn nothing_is_left_where_the_weights_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let original = load(&model("shapes96_misaligned.onnx")).unwrap();
    let saved = save_model(&path, &original.bytes, BESIDE).unwrap();
    let before = std::fs::read(&path).unwrap();
    // A folder of that name cannot be replaced by a file.
    std::fs::remove_file(&saved[0].path).unwrap();
    std::fs::create_dir(&saved[0].path).unwrap();
    let error = save_model(&path, &original.bytes, BESIDE).unwrap_err().to_string();
    assert!(error.contains(".data"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn weights_within_bodies_are_read_by_the_same_rules() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(13, 1);
    let image = net.input("image", &[1, 3, 4, 4]);
    let x = net.conv(&image, 3, 4, 1, 1);
    let condition = net.constant(&Tensor {
        dims: vec![],
        dtype: Dtype::Bool,
        bytes: vec![1].into(),
    });
    let mut body = Net::new(13, 2);
    let bias = body.floats(&[1, 4, 1, 1], 0.1, 0.9);
    let moved = body.node("Add", &[&x, &bias], |_| {});
    body.output(&moved);
    let mut branch: GraphProto = body.graph;
    let tensor = &mut branch.initializer[0];
    let bytes = tensor.raw_data.take().unwrap();
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.external_data = vec![entry("location", "body.bin")];
    let y = net.node("If", &[&condition], |node| {
        for name in ["then_branch", "else_branch"] {
            node.attribute.push(AttributeProto {
                name: Some(name.into()),
                r#type: Some(5),
                g: Some(branch.clone()),
                ..Default::default()
            });
        }
    });
    net.output(&y);
    let path = folder.path().join("if.onnx");
    std::fs::write(&path, encode(&net.model())).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("body.bin"));
    std::fs::write(folder.path().join("body.bin"), &bytes).unwrap();
    let read = load(&path).unwrap();
    assert!(read.external);
    assert_eq!(outputs(&read).len(), 1);
    std::fs::write(folder.path().join("body.bin"), &bytes[..8]).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("past the end"));
}

#[test]
fn the_commands_write_and_read_such_models() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::copy(model("shapes96_misaligned.onnx"), place("a.onnx")).unwrap();
    narrower(&place("a.onnx"), &place("plan.json"), 8);
    let apply = |name: &str, more: &[&str]| {
        let mut command = snapprune();
        command
            .arg("apply")
            .args([place("a.onnx"), place("plan.json")])
            .arg("-o")
            .arg(place(name))
            .args(more);
        command.output().unwrap()
    };
    assert!(apply("whole.onnx", &[]).status.success());
    let beside = apply(
        "beside.onnx",
        &["--save-as-external-data", "--external-data-threshold", "256"],
    );
    let said = String::from_utf8(beside.stdout).unwrap();
    assert!(said.contains("beside.onnx.") && said.contains(".data and "), "{said}");
    assert_eq!(
        outputs(&load(&place("whole.onnx")).unwrap()),
        outputs(&load(&place("beside.onnx")).unwrap())
    );
    let same = snapprune()
        .arg("verify")
        .args([place("whole.onnx"), place("beside.onnx")])
        .output()
        .unwrap();
    assert!(same.status.success(), "{same:?}");
    let streamed = snapprune()
        .arg(place("a.onnx"))
        .args(["-o", "-", "--cpu", "--save-as-external-data"])
        .output()
        .unwrap();
    assert_eq!(streamed.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&streamed.stderr).contains("name a file"),
        "{streamed:?}"
    );
}

/// `cargo test --release --test weights_beside -- --ignored`: minutes, 16 GB of memory and 8 GB of disk.
#[test]
#[ignore = "needs 16 GB of memory and 8 GB of disk"]
fn a_model_of_more_than_two_gigabytes_is_read_changed_and_written() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = |name: &str| folder.path().join(name);
    let mut net = Net::new(13, 1);
    let image = net.input("image", &[1, 3, 4, 4]);
    let mut x = net.conv(&image, 3, 4096, 1, 1);
    // Four layers of 604 MB each; their weights repeat, as random numbers take long.
    let some: Vec<u8> = (0..1 << 18)
        .flat_map(|_| ((net.random.f32() - 0.5) / 100.0).to_le_bytes())
        .collect();
    for _ in 0..4 {
        let weight = Tensor {
            dims: vec![4096, 4096, 3, 3],
            dtype: Dtype::Float,
            bytes: some.repeat(4096 * 4096 * 9 * 4 / some.len()).into(),
        };
        let w = net.constant(&weight);
        let y = net.node("Conv", &[&x, &w], |n| n.set_ints("pads", vec![1; 4]));
        x = net.node("Relu", &[&y], |_| {});
    }
    let y = net.conv(&x, 4096, 8, 1, 1);
    net.output(&y);
    let bytes = encode(&net.model());
    assert!(bytes.len() > i32::MAX as usize);
    std::fs::write(place("big.onnx"), &bytes).unwrap();
    drop(bytes);

    narrower(&place("big.onnx"), &place("plan.json"), 64);
    let done = snapprune()
        .arg("apply")
        .args([place("big.onnx"), place("plan.json")])
        .arg("-o")
        .arg(place("new.onnx"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let saved = names(folder.path());
    let data = saved
        .iter()
        .find(|n| n.starts_with("new.onnx.") && n.ends_with(".data"))
        .unwrap();
    assert!(std::fs::metadata(place(data)).unwrap().len() > i32::MAX as u64);
    assert!(std::fs::metadata(place("new.onnx")).unwrap().len() < 1 << 20);
    let told = snapprune().arg("inspect").arg(place("new.onnx")).output().unwrap();
    assert!(String::from_utf8_lossy(&told.stdout).contains("4032"), "{told:?}");
    let differ = snapprune()
        .arg("verify")
        .args([place("big.onnx"), place("new.onnx")])
        .output()
        .unwrap();
    assert_eq!(differ.status.code(), Some(1), "{differ:?}");
    let same = snapprune()
        .arg("verify")
        .args([place("big.onnx"), place("big.onnx")])
        .output()
        .unwrap();
    assert!(same.status.success(), "{same:?}");
}
