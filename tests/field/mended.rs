//! Files with mistakes that do no harm: wrong order, wrong declarations, shapes left open.

use super::{cut, inspected, plain, said, written};
use snapprune::onnx::Attributes;
use std::path::Path;

use crate::common::command::fails;
use crate::common::net::{Net, value_info};
use snapprune::onnx::load;
use snapprune::onnx::proto::tensor_shape_proto::dimension::Value as Dim;
use snapprune::onnx::proto::type_proto::Value as Kind;

#[test]
fn a_file_that_is_not_in_order_is_sorted_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = plain().model();
    let sorted = written(folder.path(), "sorted.onnx", &model);
    model.graph.as_mut().unwrap().node.reverse();
    let path = written(folder.path(), "unsorted.onnx", &model);
    let note = "the nodes of the file were not in order; they were sorted";
    let (a, b) = (inspected(&sorted, &[]), inspected(&path, &[]));
    assert_eq!(a["groups"], b["groups"]);
    assert_eq!(b["notes"][0], note);
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.proto, load(&sorted).unwrap().proto);
    assert_eq!(
        loaded.hash,
        blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string()
    );
    let cut = cut(folder.path(), &path, &[]);
    assert!(load(&cut).is_ok_and(|m| !m.sorted));
    for command in ["verify", "bench"] {
        let names = [&sorted, &path].map(|p| p.to_str().unwrap());
        let mut args = vec![command, names[0], names[1], "--cpu", "--threads", "1"];
        args.extend(if command == "bench" {
            &["--seconds", "0.1"][..]
        } else {
            &[]
        });
        let (code, text) = said(&args);
        assert!(code == Some(0) && text.contains(note), "{command}: {text}");
    }
}

#[test]
fn an_output_that_the_file_declares_wrong_is_said_and_everything_runs() {
    let folder = tempfile::tempdir().unwrap();
    for declared in [&[1, 5][..], &[1, 5, 1, 1, 1], &[1, 6, 16, 16], &[2, 5, 16, 16]] {
        let mut net = Net::new(13, 5);
        let x = net.input("image", &[1, 3, 16, 16]);
        let y = net.conv(&x, 3, 13, 3, 1);
        let y = net.conv(&y, 13, 5, 3, 1);
        // ONNX Runtime does not infer this shape.
        let shape = net.node("Shape", &[&y], |_| {});
        let least = net.ints(&[0]);
        let all = net.node("Greater", &[&shape, &least], |_| {});
        let shape = net.node("Compress", &[&shape, &all], |n| n.set_int("axis", 0));
        let y = net.node("Reshape", &[&y, &shape], |_| {});
        net.graph.output.push(value_info(&y, declared));
        let path = written(folder.path(), "wrong.onnx", &net.model());
        let note = inspected(&path, &[])["notes"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            note.contains("has the extents [") && note.contains("but it has [1, 5, 16, 16]"),
            "{note}"
        );
        let cut = cut(folder.path(), &path, &[]);
        let output = |p: &Path| load(p).unwrap().graph().unwrap().output.clone();
        assert_eq!(output(&path), output(&cut));
        let (code, text) = said(&[
            "bench",
            path.to_str().unwrap(),
            cut.to_str().unwrap(),
            "--cpu",
            "--threads",
            "1",
            "--seconds",
            "0.1",
        ]);
        assert_eq!(code, Some(0), "{declared:?}: {text}");
    }
}

#[test]
fn extents_that_were_assumed_come_first_when_a_model_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(13, 5);
    let x = net.input("image", &[1, 3, 16, 16]);
    let y = net.conv(&x, 3, 13, 3, 1);
    let y = net.node("Flatten", &[&y], |_| {});
    let w = net.weights(&[5, 13 * 256]);
    let y = net.node("Gemm", &[&y, &w], |n| n.set_int("transB", 1));
    net.output(&y);
    let mut model = net.model();
    let input = &mut model.graph.as_mut().unwrap().input[0];
    let Some(Kind::TensorType(kind)) = input.r#type.as_mut().unwrap().value.as_mut() else {
        panic!()
    };
    let dims = &mut kind.shape.as_mut().unwrap().dim;
    dims[2].value = Some(Dim::DimParam("height".into()));
    dims[3].value = None;
    let path = written(folder.path(), "open.onnx", &model);
    let (name, db) = (path.to_str().unwrap(), folder.path().join("l.db"));
    for args in [
        &["inspect", name][..],
        &[name, "--cpu", "--threads", "1", "--db", db.to_str().unwrap()],
        &["bench", name, "--cpu", "--threads", "1"],
    ] {
        let text = fails(args, 2);
        let assumed = "input 'image': 'height' is open, 224 was assumed, axis 3 is open, 224 was assumed; the model does not run so";
        let flags = "Give the real shape with --shape image:1,3,H,W (or --dim height=H)";
        let (first, then) = (text.find(assumed), text.find(flags));
        assert!(
            first.is_some() && first < then && !text.contains("downloaded"),
            "{text}"
        );
    }
    assert_eq!(said(&["inspect", name, "--shape", "image:1,3,16,16"]).0, Some(0));
    // Nothing was assumed: the file is at fault.
    let text = fails(&["inspect", name, "--shape", "image:1,3,16,17"], 2);
    assert!(text.contains("downloaded in full"), "{text}");
}
