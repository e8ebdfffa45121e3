//! Frames through the files of a video, and the command that plays a sequence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use snapprune::Video;
use snapprune::device::{DeviceTensor, Executor};
use snapprune::onnx::{Tensor, load};
use snapprune::playback::{Choice, Frame};

use crate::common::bands::{self, BANDS, INPUT, SIDE};
use crate::common::command::{fails, python, snapprune};
use crate::common::cpu;
use crate::page::{self_contained, well_laid_out};

/// A frame of so many rows that are new, over the one before.
struct Camera {
    random: fastrand::Rng,
    frame: Vec<f32>,
}

impl Camera {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let frame = (0..3 * SIDE * SIDE).map(|_| random.f32()).collect();
        Self { random, frame }
    }

    fn change(&mut self, rows: impl IntoIterator<Item = usize>) -> DeviceTensor {
        for row in rows {
            for plane in 0..3 {
                let from = (plane * SIDE + row) * SIDE;
                self.frame[from..from + SIDE].fill_with(|| self.random.f32());
            }
        }
        DeviceTensor::new(INPUT, &Tensor::from_f32(vec![1, 3, SIDE, SIDE], &self.frame)).unwrap()
    }
}

fn shown(video: &mut Video, frame: &DeviceTensor) -> Frame {
    video.frame(&[(INPUT, frame)]).unwrap()
}

/// The greatest difference of a frame's outputs to those of the model.
fn away(frame: &Frame, model: &Path, input: &DeviceTensor) -> f32 {
    let outputs = cpu()
        .outputs(
            &load(model).unwrap().into_bytes(),
            &[(INPUT.to_owned(), input.tensor().unwrap())],
        )
        .unwrap();
    assert_eq!(frame.outputs.len(), outputs.len());
    let (name, made) = &frame.outputs[0];
    assert_eq!(*name, outputs[0].0);
    let want = outputs[0].1.to_f32().unwrap();
    let made = made.floats().unwrap();
    assert_eq!(made.len(), want.len());
    made.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn exact_files_give_the_models_outputs_whatever_changes() {
    let folder = tempfile::tempdir().unwrap();
    let model = bands::write(folder.path(), 0.0);
    let mut video = Video::open(&cpu(), folder.path(), None).unwrap();
    assert_eq!(video.shares(), [0.25, 0.5]);
    let mut camera = Camera::new(1);
    let (d, p) = (Choice::Dense, Choice::Plain);
    // Row 4 is a part of the second band and of the first one's halo.
    let steps: [(Vec<usize>, Choice, usize); 10] = [
        (vec![], d, 8),
        (vec![5], Choice::Tiles(0), 1),
        (vec![4], Choice::Tiles(1), 2),
        (vec![], Choice::Tiles(0), 0),
        ((0..SIDE).collect(), d, 8),
        ((0..SIDE).collect(), p, 8),
        ((0..SIDE).collect(), p, 8),
        (vec![9], d, 1),
        (vec![1, 9, 14], Choice::Tiles(1), 3),
        (vec![], Choice::Tiles(0), 0),
    ];
    for (k, (rows, choice, changed)) in steps.into_iter().enumerate() {
        let frame = camera.change(rows);
        let made = shown(&mut video, &frame);
        assert!(away(&made, &model, &frame) < 1e-5, "frame {k}");
        assert_eq!((made.choice, made.runs), (choice, 1), "frame {k}");
        assert_eq!(made.changed, changed as f64 / BANDS as f64, "frame {k}");
        assert!(made.ms > 0.0 && made.left.iter().all(|n| *n == 0));
    }
}

#[test]
fn after_an_error_and_after_a_reset_the_next_frame_is_computed_whole() {
    let folder = tempfile::tempdir().unwrap();
    let model = bands::write(folder.path(), 0.0);
    let mut video = Video::open(&cpu(), &model, None).unwrap();
    let mut camera = Camera::new(2);
    let mut play = |video: &mut Video| shown(video, &camera.change([])).choice;
    assert_eq!((play(&mut video), play(&mut video)), (Choice::Dense, Choice::Tiles(0)));
    let small = DeviceTensor::new(INPUT, &Tensor::from_f32(vec![1, 3, 2, 2], &[0.0; 12])).unwrap();
    assert!(video.frame(&[(INPUT, &small)]).is_err());
    assert_eq!((play(&mut video), play(&mut video)), (Choice::Dense, Choice::Tiles(0)));
    assert!(video.frame(&[]).unwrap_err().to_string().contains("'image'"));
    assert_eq!((play(&mut video), play(&mut video)), (Choice::Dense, Choice::Tiles(0)));
    video.reset();
    assert_eq!(play(&mut video), Choice::Dense);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    bands::write(one.path(), 0.0);
    bands::write(other.path(), 0.0);
    let said = |folder: &Path| Video::open(&cpu(), folder, None).unwrap_err().to_string();
    let (plain, tiles) = ("bands.onnx", "bands.snap.video-25.onnx");
    std::fs::copy(one.path().join(plain), one.path().join(tiles)).unwrap();
    assert!(said(one.path()).contains(tiles), "{}", said(one.path()));
    let text = std::fs::read(other.path().join(tiles)).unwrap();
    // Another tile of the frame, in a property of the same length.
    let at = text.windows(12).position(|w| w == b"\"tile\":[4,32").unwrap();
    let mut text = text;
    text[at + 8] = b'5';
    std::fs::write(other.path().join(tiles), text).unwrap();
    assert!(
        said(other.path()).contains("not made together"),
        "{}",
        said(other.path())
    );
}

/// Resident memory of this process, in KiB.
#[cfg(target_os = "linux")]
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_drifts_or_grows_over_many_frames() {
    let folder = tempfile::tempdir().unwrap();
    let model = bands::write(folder.path(), 0.0);
    let mut video = Video::open(&cpu(), folder.path(), None).unwrap();
    let mut camera = Camera::new(3);
    let mut grown = Vec::new();
    for k in 0..3000 {
        let rows = [k % SIDE, (7 * k) % SIDE];
        let frame = camera.change(rows);
        let made = shown(&mut video, &frame);
        if k % 500 == 499 {
            assert!(away(&made, &model, &frame) < 1e-5, "frame {k}");
            grown.push(resident());
        }
    }
    // Other tests of this process take memory meanwhile: what each frame would leave, a set of states, is 28 KB.
    let last = grown.last().unwrap() - grown.first().unwrap();
    assert!(last < 2500 * 14, "{grown:?} KiB");
}

/// Frames of the script that draws sequences.
fn sequence(out: &Path, flags: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/video_scenes.py");
    let done = Command::new(python())
        .arg(script)
        .arg(out)
        .args(["--size", "32x32", "--tile", "4x32", "--objects", "1", "--frames"])
        .args(flags)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn played(folder: &Path, frames: &Path, extra: &[&str]) -> Value {
    let output = snapprune()
        .arg("play")
        .arg(folder)
        .arg("--eval")
        .arg(frames)
        .args(["--cpu", "--threads", "1", "--json"])
        .args(extra)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn column<'v>(report: &'v Value, name: &str) -> Vec<&'v Value> {
    report["frames"].as_array().unwrap().iter().map(|f| &f[name]).collect()
}

#[test]
fn a_sequence_is_played_beside_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    bands::write(folder.path(), 0.0);
    sequence(&at("still.npz"), &["24", "--changed", "0.03", "--cuts", "12"]);
    let page = at("page.html");
    let report = played(folder.path(), &at("still.npz"), &["--report", page.to_str().unwrap()]);
    let roles = column(&report, "role");
    assert_eq!(roles.len(), 24);
    assert_eq!((roles[0], roles[12]), (&Value::from("dense"), &Value::from("dense")));
    assert!(roles.iter().filter(|r| **r == "tiles").count() >= 16, "{roles:?}");
    // Exact files lose nothing.
    assert!(
        column(&report, "loss")
            .iter()
            .all(|l| l.as_f64().is_none_or(|l| l.abs() < 1e-6))
    );
    let (_, number) = report["metrics"].as_object().unwrap().iter().next().unwrap();
    assert!(number["agreement"].as_f64().unwrap() > 0.9999, "{number}");
    let mean = |name: &str| column(&report, name).iter().map(|v| v.as_f64().unwrap()).sum::<f64>() / 24.0;
    let near = |a: f64, b: &Value| (a - b.as_f64().unwrap()).abs() < 1e-9;
    assert!(near(mean("ms"), &report["mean_ms"]) && near(mean("original_ms"), &report["original_ms"]));
    assert!(near(mean("ms") / mean("original_ms"), &report["ratio"]));
    let html = std::fs::read_to_string(page).unwrap();
    self_contained(&html);
    well_laid_out(&html, 3, &["timeline", "taken", "answers", "again"]);

    // While everything changes, the model itself runs.
    sequence(&at("restless"), &["8", "--restless"]);
    let report = played(&at("bands.onnx"), &at("restless"), &[]);
    assert_eq!(column(&report, "role")[2..], ["plain"; 6]);
    let output = snapprune()
        .arg("play")
        .arg(folder.path())
        .arg("--eval")
        .arg(at("restless"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("the model without states") && text.contains("8 frames, 100.0 %"),
        "{text}"
    );
}

#[test]
fn a_threshold_loses_what_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    bands::write(folder.path(), 0.3);
    let frames = folder.path().join("noisy.npz");
    sequence(&frames, &["16", "--changed", "0.03", "--noise", "8"]);
    let report = played(folder.path(), &frames, &[]);
    let changed = report["mean_changed"].as_f64().unwrap();
    assert!(changed < 0.5, "noise is no change: {changed}");
    let loss: f64 = column(&report, "loss").iter().filter_map(|l| l.as_f64()).sum();
    assert!(loss > 1e-3, "{loss}");
}

#[test]
fn what_is_missing_to_play_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = bands::write(folder.path(), 0.0);
    let place = folder.path().to_str().unwrap();
    assert!(fails(&["play", place], 2).contains("--eval"));
    std::fs::remove_file(&model).unwrap();
    let frames = folder.path().join("frames.npz");
    sequence(&frames, &["2"]);
    let said = fails(&["play", place, "--eval", frames.to_str().unwrap()], 2);
    assert!(said.contains("say where it is"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let said = fails(&["play", empty.path().to_str().unwrap(), "--eval", "x.npz"], 2);
    assert!(said.contains("no files of a video"), "{said}");
}
