//! How well whole models are predicted: the file's widths and three random plans each.
//!
//! `cargo bench --bench predict -- MODEL.onnx...` on an idle machine; CPU, one thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use snapprune::channels::ChannelChange;
use snapprune::device::{CpuDevice, CpuFallback, NodeRuns, Runtime, ShapeOptions, Timer, random_inputs};
use snapprune::onnx::encode;
use snapprune::optimize::open;
use snapprune::plan::{LatencyModel, LayersAt};
use snapprune::profile::{Database, Prober, in_model, layers, median};
use snapprune::rewrite::rewrite;
use snapprune::verify::benchmark;

fn main() {
    let models: Vec<String> = std::env::args().skip(1).filter(|a| a.ends_with(".onnx")).collect();
    if models.is_empty() {
        println!("no models named; nothing measured");
        return;
    }
    let runtime = Runtime::load(None).expect("ONNX Runtime");
    let device = CpuDevice::new(runtime.clone(), 1);
    let mut random = fastrand::Rng::with_seed(11);
    let mut errors = Vec::new();
    println!("| model | plan | measured ms | predicted ms | error | probes alone |\n|---|---|---|---|---|---|");
    for path in &models {
        let opened = open(Path::new(path), &runtime, &ShapeOptions::default()).expect("a model");
        let graph = opened.graph().unwrap();
        let analysis = &opened.analysis;
        let layers = layers(&graph, analysis);
        let database = Database::default_path().map(|p| Database::open(&p).unwrap());
        let mut prober = Prober::new(&device, database);
        let (mut plain, mut costs) = (
            LatencyModel::new(&graph, analysis, &layers),
            LatencyModel::new(&graph, analysis, &layers),
        );
        let base: Vec<usize> = analysis.groups.iter().map(|g| g.classes.len()).collect();
        let inputs = random_inputs(&opened.specs, 0, 1.0).unwrap();
        let original = encode(&opened.proto);
        let quiet = |_: usize, _: usize| {};
        let mut plans = vec![(base.clone(), ChannelChange::default())];
        for _ in 0..3 {
            let (mut counts, mut change) = (base.clone(), ChannelChange::default());
            for g in analysis
                .groups
                .iter()
                .filter(|g| g.constraint.is_none() && g.classes.len() >= 8)
            {
                let keep = random.usize(g.classes.len() / 2..=g.classes.len());
                counts[g.id] = keep;
                change.removed.extend(&g.classes[keep..]);
            }
            plans.push((counts, change));
        }
        for known in [&mut plain, &mut costs] {
            let wanted: Vec<_> = plans
                .iter()
                .map(|(c, _)| LayersAt {
                    layers: known.all(),
                    counts: c.clone(),
                })
                .collect();
            known.require(&mut prober, &wanted, &quiet).unwrap();
        }
        let nodes = device
            .node_times(
                &original,
                &inputs,
                NodeRuns {
                    warmup: 3,
                    timed: 30,
                    fallback: CpuFallback::Allowed,
                },
            )
            .unwrap()
            .unwrap();
        let seen = in_model(&graph, &layers, &nodes);
        let files: Vec<Vec<u8>> = plans
            .iter()
            .map(|(_, change)| encode(&rewrite(&opened.proto, &graph, analysis, change, &[]).unwrap()))
            .collect();
        // Each alone: interleaved models take each other's weights out of the caches.
        let benchmarked: Vec<_> = files
            .iter()
            .map(|f| benchmark(&device, &[f], &inputs, 3.0).unwrap().remove(0))
            .collect();
        costs.correct(&seen, &base, benchmarked[0].summary().median);
        let name = Path::new(path).file_stem().unwrap().to_string_lossy().into_owned();
        for (k, ((counts, _), entry)) in plans.iter().zip(&benchmarked).enumerate() {
            let measured = entry.summary().median;
            let predicted = costs.predict(counts).unwrap();
            let uncorrected = plain.predict(counts).unwrap();
            let error = predicted / measured - 1.0;
            errors.push(error.abs());
            let plan = if k == 0 {
                "as is".to_owned()
            } else {
                format!("random {k}")
            };
            println!(
                "| {name} | {plan} | {measured:.3} | {predicted:.3} | {:+.1} % | {:+.1} % |",
                100.0 * error,
                100.0 * (uncorrected / measured - 1.0)
            );
        }
    }
    let worst = errors.iter().copied().fold(0.0, f64::max);
    println!(
        "median error {:.1} %, worst {:.1} %, {} cases",
        100.0 * median(&errors),
        100.0 * worst,
        errors.len()
    );
}
