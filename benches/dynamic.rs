//! Top-1 against measured latency and against executed multiply-accumulates, with gates everywhere, whether they pay or
//! not: chosen for several drops, and with the same share of tiles or of channels in every block.
//!
//! `cargo bench --bench dynamic -- MODEL.onnx CALIB EVAL MEAN STD BATCH` on an idle machine; CPU, one thread. MEAN and STD
//! are lists such as 0.485,0.456,0.406. Channels are measured at batch 1 only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;

use common::{Quiet, scaling};
use snapprune::device::{CpuDevice, Runtime, ShapeOptions};
use snapprune::optimize::{Dynamics, Known, Mode, Options, Placement, SampleSource, Workload, open, optimize};
use snapprune::plan::Metric;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [model, calib, eval, mean, std, batch] = args.as_slice() else {
        println!("nothing named; nothing measured");
        return;
    };
    let scaling = scaling(mean, std);
    let runtime = Runtime::load(None).expect("ONNX Runtime");
    let device = CpuDevice::new(runtime.clone(), 1);
    let batch: usize = batch.parse().expect("a batch");
    let shapes = ShapeOptions {
        batch: Some(batch),
        ..Default::default()
    };
    let run = |name: &str, dynamics: Dynamics| {
        let workloads = [Workload {
            opened: open(Path::new(model), &runtime, &shapes).expect("a model"),
            weight: 1.0,
        }];
        let options = Options {
            calib: Some(SampleSource::new(calib, scaling.clone()).at_most(1024)),
            eval: Some(SampleSource::new(eval, scaling.clone())),
            dynamics: Some(dynamics),
            ..Default::default()
        };
        let found = optimize(&workloads, &device, Known::default(), &options, &Quiet).unwrap();
        let dynamic = found.dynamic.unwrap();
        let (Some((ratio, noise)), Some(macs), Some(task)) = (dynamic.ratio, dynamic.macs, dynamic.task) else {
            println!("{name}: {:?}", dynamic.declined);
            return;
        };
        let top1 = task.top1.unwrap_or_default();
        println!(
            "{name:<16}  {:.3}  {ratio:.3} ± {noise:.3}     {:.2}     ({:.2})",
            macs as f64 / found.counted[Metric::Macs].before as f64,
            100.0 * top1.1,
            100.0 * top1.0,
        );
    };
    println!("gates             work   latency           top-1 %   (dense top-1 %)");
    let everywhere = Dynamics {
        placement: Placement::Everywhere,
        ..Default::default()
    };
    // Chosen by what they lose.
    for most_drop in [0.005, 0.01, 0.02, 0.05] {
        run(
            &format!("drop {most_drop}"),
            Dynamics {
                most_drop,
                ..everywhere
            },
        );
    }
    // The same share in every block.
    for mode in [Mode::Tiles, Mode::Channels] {
        if mode == Mode::Channels && batch != 1 {
            continue;
        }
        for keep in [1.0, 0.875, 0.75, 0.625, 0.5] {
            let keep_all = Dynamics {
                mode,
                keep: Some(keep),
                ..everywhere
            };
            run(&format!("{mode:?} {keep}"), keep_all);
        }
    }
}
