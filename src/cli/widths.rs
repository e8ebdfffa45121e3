//! `snapprune widths MODEL --device NAME`.

use serde_json::{Value, json};

use super::args::WidthsArgs;
use super::setup;
use crate::optimize::open;
use crate::profile::{CostModel, GPUS, Multiprocessors, Problem, Profile, gpu, layers, tail_free};
use crate::{Error, Result};

/// A layer's name, its problem, and its candidate widths with their predicted milliseconds.
type Row = (String, Problem, Vec<(usize, f64)>);

/// Two predicted times are one step when they differ by less than this.
const STEP: f64 = 0.01;
/// Kernels for matrix units take channels in such blocks; other widths are padded or run without them.
const BLOCK: usize = 8;

/// Predicts each layer's staircase on a GPU that is not here.
pub(super) fn run(args: &WidthsArgs) -> Result<bool> {
    if args.device == "list" {
        for (name, m) in GPUS {
            println!("{name:12} {:4} multiprocessors", m.count);
        }
        return Ok(true);
    }
    let (name, device) = gpu(&args.device).ok_or_else(|| {
        let names: Vec<&str> = GPUS.iter().map(|(n, _)| *n).collect();
        Error::Usage(format!(
            "--device {}: the GPUs known are {}",
            args.device,
            names.join(", ")
        ))
    })?;
    let model = model(args)?.on(device.count);
    let runtime = setup::runtime(args.ort_lib.as_deref())?;
    let opened = open(&args.model, &runtime, &setup::shapes(&args.shapes)?)?;
    let mut rows: Vec<Row> = Vec::new();
    for layer in layers(&opened.graph()?, &opened.analysis) {
        let times: Option<Vec<(usize, f64)>> = layer
            .problem
            .widths(BLOCK, args.reach)
            .into_iter()
            .map(|w| Some((w, model.predict(&layer.problem.with_output(w))?)))
            .collect();
        let times = times.unwrap_or_default();
        let free = tail_free(&times.iter().map(|t| t.1).collect::<Vec<_>>(), STEP);
        let present = times.iter().position(|t| t.0 == layer.problem.cout);
        let kept = times
            .iter()
            .enumerate()
            .filter(|(i, _)| free.contains(i) || Some(*i) == present);
        rows.push((
            layer.name.clone(),
            layer.problem.clone(),
            kept.map(|(_, &t)| t).collect(),
        ));
    }
    if args.json {
        let layers: Vec<Value> = rows.iter().map(|(name, p, kept)| row_json(name, p, kept)).collect();
        let report = json!({
            "schema_version": 1, "predicted": true, "device": name,
            "fitted_to": model.device, "layers": layers,
        });
        println!("{report:#}");
        return Ok(true);
    }
    println!(
        "predicted for {name} ({} multiprocessors) from times on {}; not measured",
        device.count, model.device
    );
    for (name, p, kept) in &rows {
        let list: Vec<String> = kept
            .iter()
            .map(|(w, _)| if *w == p.cout { format!("[{w}]") } else { w.to_string() })
            .collect();
        let list = if list.is_empty() {
            "not known for this kind".to_owned()
        } else {
            list.join(" ")
        };
        println!("{name}: {}", list);
    }
    println!("[ ] is the present width; the others are the right edges of predicted steps");
    Ok(true)
}

fn row_json(name: &str, p: &Problem, kept: &[(usize, f64)]) -> Value {
    let here = kept.iter().find(|(w, _)| *w == p.cout).map_or(0.0, |t| t.1);
    let candidates: Vec<Value> = kept
        .iter()
        .map(|(w, ms)| json!({"width": w, "relative_time": ms / here.max(f64::MIN_POSITIVE)}))
        .collect();
    json!({"layer": name, "cin": p.cin, "cout": p.cout, "candidates": candidates})
}

fn model(args: &WidthsArgs) -> Result<CostModel> {
    let Some(file) = &args.profile else {
        return CostModel::recorded();
    };
    let profile = Profile::read(file)?;
    let device = Multiprocessors::of(&profile.device).ok_or_else(|| {
        Error::Usage(format!(
            "{} was not recorded on a CUDA device; --device needs one that was",
            file.display()
        ))
    })?;
    let records: Vec<_> = profile.records.iter().collect();
    Ok(CostModel::fit(&profile.device.name, device.count, &records))
}
