//! Many frames through the files of a video: what they take, whether memory grows, whether outputs drift.
//!
//! `cargo bench --bench video -- FILES FRAMES COUNT` on an idle machine; CPU, one thread. The sequence goes forth and back until COUNT frames are played, beside
//! the original. Every tenth of them: mean milliseconds of a frame and of the original, the largest difference of an output over the largest value, resident memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Instant;

use snapprune::Video;
use snapprune::data::{Dataset, Preprocessing};
use snapprune::device::{CpuDevice, DeviceTensor, Executor, Runtime, ShapeOptions, input_specs};
use snapprune::onnx::{Graph, load};
use snapprune::playback::VideoFiles;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [files, frames, count] = args.as_slice() else {
        panic!("FILES FRAMES COUNT");
    };
    let count: usize = count.parse().expect("a number of frames");
    let device = CpuDevice::new(Runtime::load(None).expect("ONNX Runtime"), 1);
    let files = VideoFiles::find(Path::new(files), None).unwrap();
    let model = load(files.plain.as_ref().expect("the model beside its files")).unwrap();
    let specs = input_specs(&Graph::of(&model.proto).unwrap(), &ShapeOptions::default()).unwrap();
    let frames = Dataset::read(Path::new(frames), &specs, Preprocessing::default())
        .unwrap()
        .in_runs_of(1);
    let mut video = Video::load(&device, &files).unwrap();
    let mut plain = device.deployed(&model.into_bytes()).unwrap();
    println!("| frames | ms | original ms | difference | resident, MiB |");
    println!("|---|---|---|---|---|");
    let (mut ms, mut original, mut away) = (0.0, 0.0, 0.0f32);
    let (part, last) = ((count / 10).max(1), frames.runs() - 1);
    for k in 0..count {
        let at = k % (2 * last.max(1));
        let run = frames.run(if at > last { 2 * last - at } else { at });
        let held: Vec<(&str, DeviceTensor)> = run
            .inputs
            .iter()
            .map(|(name, value)| (name.as_str(), DeviceTensor::new(name, value).unwrap()))
            .collect();
        let inputs: Vec<(&str, &DeviceTensor)> = held.iter().map(|(name, value)| (*name, value)).collect();
        let made = video.frame(&inputs).unwrap();
        ms += made.ms;
        let start = Instant::now();
        let want = plain.run(&inputs).unwrap();
        original += start.elapsed().as_secs_f64() * 1e3;
        for ((_, made), (_, want)) in made.outputs.iter().zip(&want) {
            let (Some(made), Some(want)) = (made.floats(), want.floats()) else {
                continue;
            };
            let most = want.iter().fold(1e-12f32, |most, v| most.max(v.abs()));
            away = made
                .iter()
                .zip(want.iter())
                .fold(away, |away, (a, b)| away.max((a - b).abs() / most));
        }
        if (k + 1) % part == 0 {
            let each = part as f64;
            println!(
                "| {} | {:.3} | {:.3} | {away:.2e} | {:.1} |",
                k + 1,
                ms / each,
                original / each,
                resident()
            );
            (ms, original, away) = (0.0, 0.0, 0.0);
        }
    }
}

/// Resident memory of this process; 0 where it is not told.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}
