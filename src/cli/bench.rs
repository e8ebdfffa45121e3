//! `snapprune bench A.onnx B.onnx ...`.

use serde_json::json;

use super::args::BenchArgs;
use super::screen::Screen;
use super::setup;
use crate::data::Dataset;
use crate::device::{input_specs, random_inputs, unsettled};
use crate::onnx::{Graph, load_as};
use crate::report::bench_table;
use crate::verify::{Verdict, benchmark, classes};
use crate::{Error, Result};

/// Always `true`: whatever is faster, the measurement was made.
pub(super) fn run(args: &BenchArgs) -> Result<bool> {
    let runtime = setup::runtime(args.device.ort_lib.as_deref())?;
    let device = setup::device(&runtime, &args.device)?;
    let shapes = setup::shapes(&args.shapes)?;
    let mut models = Vec::new();
    let mut wanted: Option<Vec<(String, Vec<usize>)>> = None;
    let mut inputs = Vec::new();
    let mut first = None;
    for path in &args.models {
        let model = load_as(path, &shapes.reading)?;
        setup::note_order(path, &model);
        let specs = input_specs(&Graph::new(model.graph()?)?, &shapes)?;
        let shape: Vec<_> = specs.iter().map(|s| (s.name.clone(), s.dims.clone())).collect();
        match &wanted {
            None => {
                inputs = random_inputs(&specs, args.seed, 1.0)?;
                first = Some(specs);
                wanted = Some(shape);
            }
            Some(first) if *first != shape => {
                return Err(Error::Usage(format!(
                    "{} takes {shape:?}, the first model {first:?}; bench compares models with the same inputs",
                    path.display()
                )));
            }
            Some(_) => {}
        }
        models.push(model.into_bytes());
    }
    let lanes: Vec<&[u8]> = models.iter().map(|m| &m[..]).collect();
    let turn = args.turn.take(device.as_ref(), &runtime.stop, &Screen::new(false))?;
    let raced = benchmark(device.as_ref(), &lanes, &inputs, args.seconds);
    let raced = raced.map_err(|e| unsettled(first.as_deref().unwrap_or_default(), e))?;
    drop(turn);
    let mut right = Vec::new();
    if let (Some(path), Some(specs)) = (&args.data.eval, &first) {
        let data = Dataset::read(path, specs, &args.data.scaling())?;
        data.notes().iter().for_each(|note| eprintln!("note: {note}"));
        for (path, model) in args.models.iter().zip(&models) {
            let own = data.clone().settled(device.as_ref(), model)?;
            let said = own.notes().iter().skip(data.notes().len());
            said.for_each(|note| eprintln!("note: {}: {note}", path.display()));
            let found = classes(device.as_ref(), model, &own, &|_, _| {})?;
            let samples = found.best.len().max(1) as f64;
            right.push(
                found
                    .right
                    .map(|(one, five)| (one as f64 / samples, five as f64 / samples)),
            );
        }
    }
    let names: Vec<String> = args.models.iter().map(|p| p.display().to_string()).collect();
    if args.json {
        let rows: Vec<_> = names
            .iter()
            .zip(&raced)
            .enumerate()
            .map(|(k, (name, entry))| {
                let accuracy = right.get(k).copied().flatten();
                let s = entry.summary();
                json!({
                    "model": name, "min": s.min, "median": s.median, "mad": s.mad, "p95": s.p95, "n": s.n,
                    "ratio": entry.ratio(), "ratio_noise": entry.ratio_noise(),
                    "top1": accuracy.map(|a| a.0), "top5": accuracy.map(|a| a.1),
                    "faster_than_first": entry.verdict() == Verdict::Faster,
                })
            })
            .collect();
        println!(
            "{:#}",
            json!({"schema_version": 1, "device": device.info(), "models": rows})
        );
    } else {
        println!("device    {}", setup::describe(device.as_ref(), &args.device));
        print!("{}", bench_table(&names, &raced));
        for (name, accuracy) in names.iter().zip(&right) {
            match accuracy {
                Some((one, five)) => println!("{name}: top-1 {:.2} %, top-5 {:.2} %", 100.0 * one, 100.0 * five),
                None => println!("{name}: no labels, or the first output holds no classes"),
            }
        }
    }
    Ok(true)
}
