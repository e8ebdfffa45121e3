//! What the threads of sessions that wait for their turn do to the one that is timed.
//!
//! `cargo bench --bench spinning -- THREADS MODEL.onnx OTHER.onnx` on an idle machine; CPU. For each manner of threads between runs: the
//! median of a session that is alone, in milliseconds; then an interleaved benchmark of the model, the same once more, and another. Of the benchmark: the
//! model's median over that of the session that is alone (1 is true to a deployment), the ratio of the model to itself with half of a
//! 95 % interval and the middle half of all rounds, and by how much the slowest block of sessions took longer than the fastest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use snapprune::device::{CpuDevice, Device, Idle, NamedTensor, Runtime, ShapeOptions, input_specs, random_inputs};
use snapprune::onnx::{Graph, load};
use snapprune::verify::benchmark;

const SECONDS: f64 = 6.0;
/// Each manner takes turns with the others, so many times: the machine changes.
const TURNS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [threads, model, other] = args.as_slice() else {
        panic!("THREADS MODEL.onnx OTHER.onnx");
    };
    let threads = threads.parse().expect("a number of threads");
    let runtime = Runtime::load(None).expect("ONNX Runtime");
    let (model, inputs) = read(model.as_ref());
    let (other, _) = read(other.as_ref());
    let manners = [Idle::Spin, Idle::Sleep, Idle::Block];
    let device = |idle| CpuDevice::new(runtime.clone().with_idle(idle), threads);
    println!("{}", device(Idle::Sleep).info().name);
    println!(
        "| {} | alone, ms | interleaved / alone | itself | middle half | drift |",
        device(Idle::Sleep).info().stack
    );
    println!("|---|---|---|---|---|---|");
    for _ in 0..TURNS {
        // What a deployment has.
        let spinning = benchmark(&device(Idle::Spin), &[&model], &inputs, SECONDS / 3.0).unwrap();
        let alone = spinning[0].summary().median;
        println!("| alone, as deployed | {alone:.3} | | | | |");
        for idle in manners {
            let device = device(idle);
            let own = benchmark(&device, &[&model], &inputs, SECONDS / 3.0).unwrap();
            let entries = benchmark(&device, &[&model, &model, &other], &inputs, SECONDS).unwrap();
            let mut ratios = entries[1].ratios.clone();
            ratios.sort_by(f64::total_cmp);
            println!(
                "| {idle:?} | {:.3} | {:.3} | {:.3} ± {:.3} | {:.3} to {:.3} | {:.1} % |",
                own[0].summary().median,
                entries[0].summary().median / alone,
                entries[1].ratio(),
                entries[1].ratio_noise(),
                ratios[ratios.len() / 4],
                ratios[3 * ratios.len() / 4],
                100.0 * entries[0].drift().unwrap()
            );
        }
    }
}

fn read(path: &Path) -> (Vec<u8>, Vec<NamedTensor>) {
    let model = load(path).unwrap();
    let specs = input_specs(&Graph::of(&model.proto).unwrap(), &ShapeOptions::default()).unwrap();
    let inputs = random_inputs(&specs, 0, 1.0).unwrap();
    (model.into_bytes().to_vec(), inputs)
}
