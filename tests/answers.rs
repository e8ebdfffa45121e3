//! What is said of models' answers: texts by an alphabet, labels that do not serve, classes without labels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::io::Write;
use std::path::Path;

use common::command::{fails, model, snapprune};
use common::cpu;
use common::line_reader::line_reader;
use serde_json::Value;
use snapprune::data::{Dataset, Scaling};
use snapprune::device::{Executor, ShapeOptions, input_specs};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Graph, encode};
use snapprune::task::{OutputValues, best_class, greedy};

/// A reader of lines of 16×32 pixels: eight steps of a blank and four letters.
fn reader() -> ModelProto {
    line_reader(5, 32)
}

/// An `.npz` file with texts of up to eight letters as NumPy writes them.
fn texts(path: &Path, texts: &[String]) {
    let head = format!(
        "{{'descr': '<U8', 'fortran_order': False, 'shape': ({},), }}\n",
        texts.len()
    );
    let mut member = b"\x93NUMPY\x01\x00".to_vec();
    member.extend(u16::try_from(head.len()).unwrap().to_le_bytes());
    member.extend(head.as_bytes());
    for text in texts {
        let letters = text.chars().map(u32::from).chain(std::iter::repeat(0)).take(8);
        member.extend(letters.flat_map(u32::to_le_bytes));
    }
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("labels.npy", stored).unwrap();
    archive.write_all(&member).unwrap();
    archive.finish().unwrap();
}

fn bench(args: &[&str]) -> Value {
    let output = snapprune()
        .arg("bench")
        .args(args)
        .args(["--cpu", "--threads", "1", "--seconds", "0.05", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn texts_are_read_by_an_alphabet() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).to_string_lossy().into_owned();
    let proto = reader();
    std::fs::write(at("reader.onnx"), encode(&proto)).unwrap();
    std::fs::create_dir(at("lines")).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for k in 0..12 {
        let image = image::RgbImage::from_fn(32, 16, |_, _| image::Rgb([random.u8(..), random.u8(..), random.u8(..)]));
        image.save(at("lines").join(format!("{k:02}.png"))).unwrap();
    }
    // What it reads, where class 0 is the blank or class 4 is.
    let specs = input_specs(&Graph::of(&proto).unwrap(), &ShapeOptions::default()).unwrap();
    let data = Dataset::read(&at("lines"), &specs, Scaling::default()).unwrap();
    let steps: Vec<Vec<usize>> = (0..12)
        .map(|k| {
            let outputs = cpu().outputs(&encode(&proto), &data.run(k).inputs).unwrap();
            let values = OutputValues::all(&outputs).remove(0).values;
            values.chunks_exact(5).map(best_class).collect()
        })
        .collect();
    let blank =
        4 * usize::from(steps[0].iter().filter(|c| **c == 4).count() > steps[0].iter().filter(|c| **c == 0).count());
    let letters: Vec<char> = "xñyz".chars().collect();
    let read = |steps: &Vec<usize>| -> String {
        let class = |c: u32| letters[c as usize - usize::from(blank == 0)];
        greedy(steps.iter().copied(), blank).into_iter().map(class).collect()
    };
    let right: Vec<String> = steps.iter().map(read).collect();
    assert!(right.iter().any(|t| t.contains('ñ')), "{right:?}");
    texts(&at("labels.npz"), &right);
    std::fs::write(at("labels.txt"), right.join("\n")).unwrap();
    std::fs::write(at("letters.txt"), "x\nñ\ny\nz\n").unwrap();

    let (net, lines) = (text("reader.onnx"), text("lines"));
    let args = |labels: &str| {
        vec![
            net.clone(),
            "--eval".to_owned(),
            lines.clone(),
            "--labels".to_owned(),
            text(labels),
        ]
    };
    for (labels, alphabet) in [("labels.npz", "xñyz".to_owned()), ("labels.txt", text("letters.txt"))] {
        let mut args = args(labels);
        args.extend(["--alphabet".to_owned(), alphabet]);
        let report = bench(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let own = &report["models"][0]["metrics"];
        assert_eq!(
            (&own["equal"]["labels"], &own["edit_distance"]["labels"]),
            (&1.0.into(), &0.0.into()),
            "{report:#}"
        );
    }

    let said = |labels: &str, more: &[&str]| {
        let args = args(labels);
        let mut all = vec!["bench", "--cpu", "--seconds", "0.05"];
        all.extend(args.iter().map(String::as_str));
        all.extend(more);
        fails(&all, 2)
    };
    let lacking = said("labels.txt", &["--alphabet", "xnyz"]);
    assert!(lacking.contains("the alphabet lacks 'ñ' (U+00F1)"), "{lacking}");
    let few = said("labels.txt", &["--alphabet", "xñ"]);
    assert!(
        few.contains("2 letters") && few.contains("5 classes") && few.contains(&format!("number {blank}")),
        "{few}"
    );
    let none = said("labels.txt", &[]);
    assert!(none.contains("give its alphabet"), "{none}");
    let elsewhere = said("labels.txt", &["--alphabet", "xñyz", "--task", "regress"]);
    assert!(elsewhere.contains("an alphabet serves the task ctc"), "{elsewhere}");
}

#[test]
fn bench_tells_how_many_classes_are_the_same_without_labels_too() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let mut random = fastrand::Rng::with_seed(2);
    for k in 0..10 {
        let grey = random.u8(..);
        let image = image::RgbImage::from_fn(96, 96, |x, y| image::Rgb([grey, (x * y) as u8, random.u8(..)]));
        image.save(images.join(format!("{k}.png"))).unwrap();
    }
    let own = model("shapes96.onnx").to_string_lossy().into_owned();
    let report = bench(&[&own, &own, "--eval", &images.to_string_lossy()]);
    for row in report["models"].as_array().unwrap() {
        assert_eq!(
            (&row["same_class"], &row["top1"]),
            (&1.0.into(), &Value::Null),
            "{report:#}"
        );
    }
    let output = snapprune()
        .args([
            "bench",
            &own,
            &own,
            "--cpu",
            "--threads",
            "1",
            "--seconds",
            "0.05",
            "--eval",
        ])
        .arg(&images)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("the first model's class for 100.00 % of the samples"),
        "{text}"
    );
}
