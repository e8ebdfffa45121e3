//! How well whole models are predicted: the file's widths and random plans of half to all of every group's channels.
//!
//! `cargo bench --bench predict -- MODEL.onnx... [--plans N] [--batch N] [--gpu N | --cpu | --ep NAME ...]` on an idle machine, with the
//! flags of a device as `snapprune` has them; without `--threads` one thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};

use clap::Parser;
use common::Quiet;
use snapprune::channels::{Analysis, ChannelChange};
use snapprune::device::{ShapeOptions, Stop, random_inputs};
use snapprune::flags::DeviceArgs;
use snapprune::jobs::DeviceSettings;
use snapprune::onnx::encode;
use snapprune::optimize::{Known, Options, Workload, open, predicted};
use snapprune::plan::ChannelCounts;
use snapprune::profile::{Database, median};
use snapprune::rewrite::rewrite;
use snapprune::verify::benchmark;

/// Whole models, predicted and measured.
#[derive(Parser)]
struct Args {
    /// The models; none: nothing is measured.
    models: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// The batch, where the model leaves it open.
    #[arg(long)]
    batch: Option<usize>,
    /// Random plans a model.
    #[arg(long, default_value_t = 3)]
    plans: usize,
    /// A latency database to read and fill.
    #[arg(long)]
    db: Option<PathBuf>,
    /// Cargo's own.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seconds for each model.
const SECONDS: f64 = 3.0;

fn main() {
    let args = Args::parse();
    let mut settings = args.device.settings();
    settings.threads = settings.threads.max(1);
    let mut random = fastrand::Rng::with_seed(11);
    let mut errors = Vec::new();
    println!("| model | plan | measured ms | predicted ms | error |\n|---|---|---|---|---|");
    for path in &args.models {
        errors.extend(errors_of(path, &args, &settings, &mut random));
    }
    if errors.is_empty() {
        return;
    }
    let worst = errors.iter().copied().fold(0.0, f64::max);
    println!(
        "median error {:.1} %, worst {:.1} %, {} cases",
        100.0 * median(&errors),
        100.0 * worst,
        errors.len()
    );
}

/// A plan: all groups' channel counts, and what is removed for them.
fn random_plan(analysis: &Analysis, random: &mut fastrand::Rng) -> (ChannelCounts, ChannelChange) {
    let mut counts: ChannelCounts = analysis.groups.iter().map(|g| g.classes.len()).collect();
    let mut change = ChannelChange::default();
    let free = analysis
        .groups
        .iter()
        .filter(|g| g.constraint.is_none() && g.classes.len() >= 8);
    for g in free {
        let keep = random.usize(g.classes.len() / 2..=g.classes.len());
        counts[g.id] = keep;
        change.removed.extend(&g.classes[keep..]);
    }
    (counts, change)
}

/// The relative errors of one model; prints a row a plan.
fn errors_of(path: &Path, args: &Args, settings: &DeviceSettings, random: &mut fastrand::Rng) -> Vec<f64> {
    let runtime = settings
        .runtime(&Stop::default())
        .expect("ONNX Runtime")
        .with_threads(settings.threads);
    let device = settings.open(&runtime).expect("the device");
    let shapes = ShapeOptions {
        batch: args.batch,
        ..ShapeOptions::default()
    };
    let opened = open(path, &runtime, &shapes).expect("a model");
    let inputs = random_inputs(&opened.specs, 0, 1.0).unwrap();
    let workload = Workload { opened, weight: 1.0 };
    let opened = &workload.opened;
    let (graph, analysis) = (opened.graph().unwrap(), &opened.analysis);
    let present: ChannelCounts = analysis.groups.iter().map(|g| g.classes.len()).collect();
    let mut plans = vec![(present, ChannelChange::default())];
    plans.extend((0..args.plans).map(|_| random_plan(analysis, random)));
    let counts: Vec<ChannelCounts> = plans.iter().map(|(counts, _)| counts.clone()).collect();
    let known = Known {
        database: args.db.as_deref().map(|path| Database::open(path).expect("a database")),
        ..Known::default()
    };
    let workloads = std::slice::from_ref(&workload);
    let predictions = predicted(workloads, device.as_ref(), known, &Options::default(), &counts, &Quiet).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy();
    let row = |(k, ((_, change), &predicted)): (usize, (&(ChannelCounts, ChannelChange), &f64))| {
        let file = encode(&rewrite(&opened.proto, &graph, analysis, change, &[]).unwrap());
        // Each alone: interleaved models take each other's weights out of the caches.
        let timer = device.timer().expect("a device that is here");
        let measured = benchmark(timer, &[&file], &inputs, SECONDS).unwrap().remove(0);
        let measured = measured.summary().median;
        let error = predicted / measured - 1.0;
        let plan = if k == 0 {
            "as is".to_owned()
        } else {
            format!("random {k}")
        };
        println!(
            "| {name} | {plan} | {measured:.3} | {predicted:.3} | {:+.1} % |",
            100.0 * error
        );
        error.abs()
    };
    plans.iter().zip(&predictions).enumerate().map(row).collect()
}
