//! Accuracy at equal measured latency: plans of ours against the same share of every group rounded to multiples of 8,
//! with the same rankings and the same fitted weights, and against other models named.
//!
//! `cargo bench --bench accuracy -- MODEL.onnx CALIB EVAL MEAN STD BATCH [OTHER.onnx...]` on an idle machine; CPU, one
//! thread. MEAN and STD are lists such as 0.485,0.456,0.406.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};

use common::{Quiet, scaling};
use snapprune::channels::{ChannelChange, IndexRemaps};
use snapprune::data::Dataset;
use snapprune::device::{CpuDevice, Limit, Runtime, ShapeOptions, random_inputs};
use snapprune::onnx::encode;
use snapprune::optimize::{Amount, Goals, Known, Opened, Options, SampleSource, Samples, Workload, open, optimize};
use snapprune::plan::Metric;
use snapprune::profile::Database;
use snapprune::reconstruct::{Change, FitSamples, Settings, reconstruct};
use snapprune::rewrite::rewrite;
use snapprune::score::{RankRequest, StagedExecutor, Statistics, Watch, linear_ops, rank_group, reading};
use snapprune::verify::{benchmark, classes};

/// Every unconstrained group cut to `share` of its width, a multiple of 8.
fn uniform(opened: &Opened, device: &CpuDevice, samples: &Samples, share: f64) -> Vec<u8> {
    let graph = opened.graph().unwrap();
    let analysis = &opened.analysis;
    let layers = linear_ops(&graph);
    let mut executor = StagedExecutor::new(device, &samples.data, samples.fit.clone()).unwrap();
    let limit = Limit::default();
    let watch = Watch {
        limit: &limit,
        progress: &|_, _| {},
    };
    let wanted = reading(analysis, &layers);
    let seen = Statistics::collect(&mut executor, &opened.proto, &graph, &wanted, 48, 0, watch).unwrap();
    let mut change = ChannelChange::default();
    for group in analysis
        .groups
        .iter()
        .filter(|g| g.constraint.is_none() && g.width() >= 16)
    {
        let width = ((group.width() as f64 * share / 8.0).round() as usize * 8).max(8);
        let keep = width / group.unit;
        let gone = group.classes.len() - keep;
        let request = RankRequest {
            first: &[],
            least: keep,
            keep_at: &[],
        };
        let ranked = rank_group(group, &graph, analysis, &layers, &seen, request).unwrap();
        change.removed.extend(&ranked.order[..gone]);
    }
    let remaps = IndexRemaps::new(&analysis.dependencies, &analysis.groups, &change);
    let pruned = rewrite(&opened.proto, &graph, analysis, &change, &[]).unwrap();
    let change = Change {
        model: &opened.proto,
        graph: &graph,
        analysis,
        remaps: &remaps,
        branches: &change.branches,
    };
    let runs = 0..samples.data.runs();
    encode(
        &reconstruct(
            device,
            change,
            pruned,
            FitSamples {
                data: &samples.data,
                runs,
                judge: 0..0,
            },
            Settings::default(),
            watch,
        )
        .unwrap()
        .proto,
    )
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [model, calib, eval, mean, std, batch, overhead @ ..] = args.as_slice() else {
        println!("nothing named; nothing measured");
        return;
    };
    let scaling = scaling(mean, std);
    let runtime = Runtime::load(None).expect("ONNX Runtime");
    let device = CpuDevice::new(runtime.clone(), 1);
    let shapes = ShapeOptions {
        batch: batch.parse().ok(),
        ..Default::default()
    };
    let opened = open(Path::new(model), &runtime, &shapes).expect("a model");
    let inputs = random_inputs(&opened.specs, 0, 1.0).unwrap();
    let original = encode(&opened.proto);
    let data = Dataset::read(Path::new(eval), &opened.specs, &scaling).unwrap();
    let samples = Samples::new(Dataset::read(Path::new(calib), &opened.specs, &scaling).unwrap());
    let top1 = |bytes: &[u8]| -> f64 {
        let found = classes(&device, bytes, &data, &|_, _| {}).unwrap();
        100.0 * found.right.expect("labels").0 as f64 / found.best.len() as f64
    };
    println!("original: top-1 {:.2} %\n", top1(&original));
    println!("| model | latency ratio | top-1 % |\n|---|---|---|");
    let mut wanted = Vec::new();
    let show = |name: &str, bytes: &[u8]| -> f64 {
        let entry = benchmark(&device, &[&original, bytes], &inputs, 6.0).unwrap().remove(1);
        let (ratio, noise) = (entry.ratio(), entry.ratio_noise());
        println!("| {name} | {ratio:.3} ± {noise:.3} | {:.2} |", top1(bytes));
        ratio
    };
    for share in [0.75, 0.5, 0.3] {
        let bytes = uniform(&opened, &device, &samples, share);
        wanted.push(show(
            &format!("uniform, {share} of every width, multiples of 8"),
            &bytes,
        ));
    }
    for ratio in wanted {
        let options = Options {
            calib: Some(SampleSource::new(PathBuf::from(calib), scaling.clone()).at_most(1024)),
            goals: Goals::default().at_most(Metric::Latency, Amount::Times(ratio)),
            min_width: 1,
            ..Default::default()
        };
        let workload = Workload {
            opened: open(Path::new(model), &runtime, &shapes).unwrap(),
            weight: 1.0,
        };
        let known = Known {
            database: Database::default_path().map(|p| Database::open(&p).unwrap()),
            ..Known::default()
        };
        let outcome = optimize(&[workload], &device, known, &options, &Quiet).unwrap();
        match outcome.model {
            Some(bytes) => _ = show(&format!("snapprune, at most {ratio:.3}"), &bytes),
            None => println!(
                "| snapprune, at most {ratio:.3} | {} | |",
                outcome.declined.map_or(String::new(), |why| why.to_string())
            ),
        }
    }
    for other in overhead {
        let bytes = std::fs::read(other).expect("a model");
        show(other, &bytes);
    }
}
