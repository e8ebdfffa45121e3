//! Plays frames with the files that `snapprune MODEL --video` wrote:
//!
//!     cargo run --example video -- model.snap.video-dense.onnx frames.npz

use std::path::Path;

use snapprune::Video;
use snapprune::data::{Dataset, Preprocessing};
use snapprune::device::{CpuDevice, DeviceTensor, Runtime, ShapeOptions, input_specs};
use snapprune::onnx::{Graph, load};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [files, frames] = args.as_slice() else {
        return Err("usage: video FILES FRAMES".into());
    };
    let device = CpuDevice::new(Runtime::load(None)?, 1);
    let mut video = Video::open(&device, Path::new(files), None)?;
    let specs = input_specs(&Graph::of(&load(Path::new(files))?.proto)?, &ShapeOptions::default())?;
    let frames = Dataset::read(Path::new(frames), &specs, Preprocessing::default())?.in_runs_of(1);
    for k in 0..frames.runs() {
        for (name, frame) in &frames.run(k).inputs {
            let frame = DeviceTensor::new(name, frame)?;
            let made = video.frame(&[(name, &frame)])?;
            let names: Vec<&str> = made.outputs.iter().map(|(name, _)| name.as_str()).collect();
            println!(
                "{k}: {:.3} of the tiles changed, {:?} in {:.2} ms: {names:?}",
                made.changed, made.choice, made.ms
            );
        }
    }
    Ok(())
}
