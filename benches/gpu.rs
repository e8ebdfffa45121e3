//! What the main job gets out of published models on a GPU, beside what is done by hand.
//!
//! `cargo bench --bench gpu -- DIR [CELL...]`: every `NAME_r1.onnx` (or `NAME.onnx` alone) of the folder is optimized and timed side by
//! side with its copies `NAME_r8.onnx`, `NAME_r16.onnx` ..., whose widths someone rounded up, all interleaved in fresh sessions. A cell
//! is a batch with letters for settings: `64`, `1g` (captured as a graph), `64n` (channels-last layout); without any, these three and `1gn`.
//! Rows are a table in Markdown: ratios are to the published model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Instant;

use common::Quiet;
use snapprune::device::{CudaOptions, ShapeOptions, Stop, WhenBusy, random_inputs};
use snapprune::jobs::{
    DeviceChoice, DeviceSettings, MainSettings, ModelSource, StoreSettings, WorkloadShape, plan_model,
};
use snapprune::optimize::{Options, Outcome};
use snapprune::verify::{Entry, benchmark};

const SECONDS: f64 = 6.0;
const CELLS: [&str; 4] = ["64", "64n", "1g", "1gn"];

/// A batch and settings of the provider.
struct Cell {
    name: String,
    batch: usize,
    cuda: CudaOptions,
}

fn cell(name: &str) -> Cell {
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    Cell {
        name: name.to_owned(),
        batch: digits.parse().expect("a batch, such as 64n"),
        cuda: CudaOptions {
            nhwc: name.contains('n'),
            graph: name.contains('g'),
            ..CudaOptions::default()
        },
    }
}

/// Why the published model stays.
fn kept(outcome: &Outcome) -> String {
    let why = outcome.declined.as_ref().map_or(String::new(), |d| format!(" ({d})"));
    format!("as published{why}")
}

/// A published model and its copies.
struct Model {
    name: String,
    published: PathBuf,
    rounded: Vec<(usize, PathBuf)>,
}

fn models(folder: &Path) -> Vec<Model> {
    let mut found = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let stem = |p: &Path| p.file_stem().unwrap().to_string_lossy().into_owned();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "onnx")) {
        let stem = stem(file);
        let copy = stem.rsplit_once("_r").filter(|(_, r)| r.parse::<usize>().is_ok());
        if copy.is_some_and(|(_, r)| r != "1") {
            continue;
        }
        let name = copy.map_or(stem.clone(), |(name, _)| name.to_owned());
        let copies = [8, 16, 32, 64].map(|block| (block, folder.join(format!("{name}_r{block}.onnx"))));
        found.push(Model {
            rounded: copies.into_iter().filter(|(_, p)| p.is_file()).collect(),
            published: file.clone(),
            name,
        });
    }
    found
}

fn settings(cell: &Cell, database: &Path) -> MainSettings {
    MainSettings {
        device: DeviceSettings {
            choice: DeviceChoice::Gpu(0),
            cuda: cell.cuda,
            ..DeviceSettings::default()
        },
        profile: None,
        store: StoreSettings {
            path: Some(database.to_path_buf()),
            ..StoreSettings::default()
        },
        on_busy: WhenBusy::Wait,
        shapes: vec![WorkloadShape {
            shapes: ShapeOptions {
                batch: Some(cell.batch),
                ..ShapeOptions::default()
            },
            weight: 1.0,
        }],
        options: Options::default(),
    }
}

/// Optimizes and times; the outcome, the seconds, and the entries: published, rounded, ours where there is one.
fn measure(model: &Model, cell: &Cell, database: &Path) -> snapprune::Result<(Outcome, f64, Vec<Entry>)> {
    let settings = settings(cell, database);
    let stop = Stop::default();
    let source = ModelSource::of(&model.published)?;
    let start = Instant::now();
    let planned = plan_model(settings.context(&stop)?, &source, &settings, &Quiet)?;
    let seconds = start.elapsed().as_secs_f64();
    let runtime = settings.device.runtime(&stop)?;
    let device = settings.device.open(&runtime)?;
    let inputs = random_inputs(&planned.workloads[0].opened.specs, 0, 1.0)?;
    let mut files = vec![std::fs::read(&model.published).unwrap()];
    files.extend(model.rounded.iter().map(|(_, p)| std::fs::read(p).unwrap()));
    files.extend(planned.outcome.model.clone());
    let bytes: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let entries = benchmark(device.require_timer()?, &bytes, &inputs, SECONDS)?;
    Ok((planned.outcome, seconds, entries))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some((folder, cells)) = args.split_first() else {
        println!("nothing named; nothing measured");
        return;
    };
    let cells: Vec<Cell> = match cells {
        [] => CELLS.iter().map(|c| cell(c)).collect(),
        named => named.iter().map(|c| cell(c)).collect(),
    };
    println!(
        "| model | cell | published, ms | rounded up to 8 / 16 / 32 / 64 | snapprune (predicted) | seconds, cold |"
    );
    println!("|---|---|---|---|---|---|");
    let work = tempfile::tempdir().unwrap();
    for model in models(Path::new(folder)) {
        for cell in &cells {
            let database = work.path().join(format!("{}-{}.db", model.name, cell.name));
            let head = format!("| {} | {} |", model.name, cell.name);
            match measure(&model, cell, &database) {
                Ok((outcome, seconds, entries)) => {
                    let ratio = |e: &Entry| format!("{:.3}", e.ratio());
                    let rounded: Vec<String> = entries[1..=model.rounded.len()].iter().map(ratio).collect();
                    let ours = entries.get(1 + model.rounded.len()).map_or_else(
                        || kept(&outcome),
                        |e| {
                            let predicted = outcome
                                .predicted_ratio()
                                .map_or(String::new(), |p| format!(" ({p:.3})"));
                            format!("{:.3} ± {:.3}{predicted}", e.ratio(), e.ratio_noise())
                        },
                    );
                    let ms = entries[0].summary().median;
                    println!("{head} {ms:.3} | {} | {ours} | {seconds:.0} |", rounded.join(" / "));
                    let steps = outcome.seconds.iter().map(|s| format!("{} {:.1}", s.step, s.seconds));
                    eprintln!("{} {}: {}", model.name, cell.name, steps.collect::<Vec<_>>().join(", "));
                }
                Err(why) => println!("{head} {why} | | | |"),
            }
        }
    }
}
