//! What the published vulnerabilities of ONNX external data did does not work here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use common::command::{fails, snapprune};
use common::net::external;
use snapprune::onnx::{encode, load};

/// A folder with a secret in it, and in that the model's folder.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(outer.path().join("secret.bin"), [1u8; 48]).unwrap();
    (outer, inner)
}

fn refused(inner: &Path, keys: &[(&str, &str)], why: &str) {
    let file = inner.join("model.onnx");
    std::fs::write(&file, encode(&external(keys).0)).unwrap();
    let error = load(&file).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("model.onnx") && error.contains("'c1'") && error.contains(why),
        "{keys:?}: {error}"
    );
}

/// A cache as Hugging Face lays it out: the files of a snapshot are links to blobs that are called after their contents.
fn cache() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (outer.path().join("blobs"), outer.path().join("snapshots/1a2b"));
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(
        blobs.join("77"),
        encode(&external(&[("location", "model.onnx_data")]).0),
    )
    .unwrap();
    std::fs::write(blobs.join("99"), [0u8; 48]).unwrap();
    for (name, blob) in [("model.onnx", "77"), ("model.onnx_data", "99")] {
        std::os::unix::fs::symlink(format!("../../blobs/{blob}"), snapshot.join(name)).unwrap();
    }
    (outer, snapshot)
}

#[test]
fn links_are_followed_in_a_folder_that_the_user_names() {
    let (outer, snapshot) = cache();
    let (model, folder) = (snapshot.join("model.onnx"), snapshot.to_str().unwrap());
    let said = fails(&["inspect", model.to_str().unwrap()], 2);
    for part in [
        "not a plain file of its own",
        "symbolic link",
        "cp -rL",
        "--external-data-dir",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let inspect = |from: &Path, more: &[&str]| snapprune().arg("inspect").arg(from).args(more).output().unwrap().status;
    assert!(inspect(&model, &["--external-data-dir", folder]).success());
    // The model's own file may lie elsewhere, and what is named is looked at alone.
    assert!(inspect(&outer.path().join("blobs/77"), &["--external-data-dir", folder]).success());
    let empty = outer.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    let said = fails(&["inspect", model.to_str().unwrap(), "--external-data-dir", empty], 2);
    assert!(said.contains("empty/model.onnx_data"), "{said}");
    // A copy as the message says it.
    let copy = outer.path().join("copy");
    let done = std::process::Command::new("cp")
        .arg("-rL")
        .arg(&snapshot)
        .arg(&copy)
        .status();
    assert!(done.unwrap().success() && inspect(&copy.join("model.onnx"), &[]).success());
}

#[test]
fn a_named_folder_is_not_left_and_holds_plain_files() {
    let (outer, inner) = place();
    let named = inner.to_str().unwrap();
    let refused = |location: &str, why: &str| {
        let file = outer.path().join("model.onnx");
        std::fs::write(&file, encode(&external(&[("location", location)]).0)).unwrap();
        let said = fails(&["inspect", file.to_str().unwrap(), "--external-data-dir", named], 2);
        assert!(said.contains(why), "{location}: {said}");
    };
    refused("../secret.bin", "leaves the model's folder");
    refused("/etc/passwd", "leaves the model's folder");
    std::fs::create_dir(inner.join("folder.bin")).unwrap();
    refused("folder.bin", "not a plain file");
    let pipe = inner.join("pipe.bin");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    refused("pipe.bin", "not a plain file");
}

#[test]
fn a_model_without_a_folder_needs_one_for_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.bin"), [0u8; 48]).unwrap();
    let bytes = encode(&external(&[("location", "w.bin")]).0);
    let piped = |args: &[&str]| {
        snapprune()
            .arg("inspect")
            .arg("-")
            .args(args)
            .write_stdin(bytes.clone())
            .output()
            .unwrap()
    };
    let refused = piped(&[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("stdin.onnx keeps weights in other files") && said.contains("--external-data-dir DIR"),
        "{said}"
    );
    assert!(
        piped(&["--external-data-dir", folder.path().to_str().unwrap()])
            .status
            .success()
    );
}

#[test]
fn cve_2022_25882_a_path_out_of_the_folder() {
    let (_outer, inner) = place();
    refused(&inner, &[("location", "../secret.bin")], "leaves the model's folder");
    refused(
        &inner,
        &[("location", "../../../etc/passwd")],
        "leaves the model's folder",
    );
    refused(&inner, &[("location", "/etc/passwd")], "leaves the model's folder");
}

#[test]
fn cve_2024_27318_a_path_that_hides_where_it_leads() {
    let (outer, inner) = place();
    std::fs::create_dir(inner.join("a")).unwrap();
    refused(
        &inner,
        &[("location", "a/../../secret.bin")],
        "leaves the model's folder",
    );
    refused(&inner, &[("location", "./../secret.bin")], "leaves the model's folder");
    let absolute = outer.path().join("inner/../secret.bin");
    refused(
        &inner,
        &[("location", absolute.to_str().unwrap())],
        "leaves the model's folder",
    );
}

#[test]
fn cve_2024_5187_names_that_write_elsewhere() {
    // No archive is unpacked; what names files to write is a zoo's manifest.
    let (outer, inner) = place();
    std::fs::write(inner.join("model.onnx"), encode(&external(&[("location", "w.bin")]).0)).unwrap();
    std::fs::write(inner.join("w.bin"), [0u8; 48]).unwrap();
    let out = outer.path().join("out");
    for name in ["../escaped", "/tmp/escaped", "a/../../escaped"] {
        let row = serde_json::json!({"model": "model.onnx", "name": name});
        std::fs::write(inner.join("zoo.jsonl"), row.to_string()).unwrap();
        let said = fails(
            &[
                "zoo",
                inner.join("zoo.jsonl").to_str().unwrap(),
                "--out",
                out.to_str().unwrap(),
            ],
            2,
        );
        assert!(said.contains("no relative path below the output folder"), "{said}");
    }
    assert!(!out.exists());
}

#[test]
fn cve_2025_51480_a_model_that_names_a_file_to_be_overwritten() {
    // Files are called after the output; the locations that a model names are never written to.
    let (outer, inner) = place();
    std::fs::write(inner.join("w.bin"), [0u8; 48]).unwrap();
    for (location, code) in [("w.bin", 1), ("../secret.bin", 2)] {
        std::fs::write(inner.join("model.onnx"), encode(&external(&[("location", location)]).0)).unwrap();
        let mut command = snapprune();
        command
            .arg("plan")
            .arg(inner.join("model.onnx"))
            .args(["--cpu", "--threads", "1", "-o"]);
        command
            .arg(inner.join("plan.json"))
            .arg("--db")
            .arg(outer.path().join("l.db"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(std::fs::read(outer.path().join("secret.bin")).unwrap(), [1u8; 48]);
        assert_eq!(std::fs::read(inner.join("w.bin")).unwrap(), [0u8; 48]);
    }
}

#[test]
fn cve_2026_27489_and_34447_symbolic_links() {
    let (outer, inner) = place();
    std::os::unix::fs::symlink(outer.path().join("secret.bin"), inner.join("link.bin")).unwrap();
    std::os::unix::fs::symlink("..", inner.join("up")).unwrap();
    std::os::unix::fs::symlink("link.bin", inner.join("chain.bin")).unwrap();
    for location in ["link.bin", "up/secret.bin", "chain.bin"] {
        refused(&inner, &[("location", location)], "not a plain file of its own");
    }
}

#[test]
fn cve_2026_34446_hard_links() {
    let (outer, inner) = place();
    std::fs::hard_link(outer.path().join("secret.bin"), inner.join("hard.bin")).unwrap();
    refused(&inner, &[("location", "hard.bin")], "not a plain file of its own");
}

#[test]
fn cve_2026_34445_keys_that_are_none_and_sizes_beyond_the_file() {
    let (_outer, inner) = place();
    std::fs::write(inner.join("w.bin"), [0u8; 48]).unwrap();
    let with = |key: &'static str, value: &'static str| [("location", "w.bin"), (key, value)];
    refused(&inner, &with("__class__", "x"), "unknown external data key");
    refused(&inner, &with("basepath", "/etc"), "unknown external data key");
    refused(&inner, &with("length", "9000000000000000000"), "past the end");
    refused(&inner, &with("length", "12"), "48 expected");
    refused(&inner, &with("offset", "49"), "past the end");
    refused(&inner, &with("offset", "18446744073709551615"), "past the end");
    refused(&inner, &with("location", "w.bin"), "twice");
}

#[test]
fn what_is_no_file_and_bytes_that_are_named_again_and_again() {
    let (_outer, inner) = place();
    std::fs::create_dir(inner.join("folder.bin")).unwrap();
    refused(&inner, &[("location", "folder.bin")], "not a plain file of its own");
    let made = std::process::Command::new("mkfifo")
        .arg(inner.join("pipe.bin"))
        .status()
        .unwrap();
    assert!(made.success());
    refused(&inner, &[("location", "pipe.bin")], "not a plain file of its own");
    refused(&inner, &[("location", "")], "leaves the model's folder");
    refused(&inner, &[], "without location");
    // A few bytes of disk do not become a memory full of weights.
    let megabyte = 1 << 20;
    std::fs::write(inner.join("w.bin"), vec![0u8; megabyte]).unwrap();
    let (mut model, _) = external(&[("location", "w.bin")]);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer[0].dims = vec![(megabyte / 12) as i64 / 4 * 4, 3, 1, 1];
    for k in 0..40 {
        let mut more = graph.initializer[0].clone();
        more.name = Some(format!("more{k}"));
        graph.initializer.push(more);
    }
    std::fs::write(inner.join("model.onnx"), encode(&model)).unwrap();
    let error = load(&inner.join("model.onnx")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("again and again"), "{error}");
}
