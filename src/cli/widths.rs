//! `snapprune widths MODEL --device NAME`.

use serde_json::{Value, json};

use super::{interrupt, stdout};
use crate::flags::WidthsArgs;
use crate::jobs::{ModelSource, PredictedLayer, PredictedWidths, predict_widths};
use crate::profile::{GPUS, gpu};
use crate::{Error, Result};

/// Predicts each layer's latency steps on a GPU that is not here.
pub(super) fn run(args: &WidthsArgs) -> Result<bool> {
    if args.device == "list" {
        for (name, m) in GPUS {
            stdout::line(&format!("{name:12} {:4} multiprocessors", m.count))?;
        }
        return Ok(true);
    }
    if gpu(&args.device).is_none() {
        let names: Vec<&str> = GPUS.iter().map(|(n, _)| *n).collect();
        return Err(Error::Usage(format!(
            "--device {}: the GPUs known are {}",
            args.device,
            names.join(", ")
        )));
    }
    let source = ModelSource::of(&args.model)?;
    let predicted = predict_widths(&source, &args.settings()?, interrupt::stop())?;
    if args.json {
        stdout::line(&format!("{:#}", report(&predicted)))?;
    } else {
        stdout::text(&text(&predicted))?;
    }
    Ok(true)
}

fn report(predicted: &PredictedWidths) -> Value {
    let layer = |layer: &PredictedLayer| {
        let p = &layer.problem;
        let here = layer.widths.iter().find(|(w, _)| *w == p.cout).map_or(0.0, |t| t.1);
        let candidates: Vec<Value> = layer
            .widths
            .iter()
            .map(|(w, ms)| json!({"width": w, "relative_time": ms / here.max(f64::MIN_POSITIVE)}))
            .collect();
        json!({"layer": layer.name, "cin": p.cin, "cout": p.cout, "candidates": candidates})
    };
    json!({
        "schema_version": 1, "predicted": true, "device": predicted.gpu,
        "fitted_to": predicted.fitted_to, "layers": predicted.layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn text(predicted: &PredictedWidths) -> String {
    let mut text = format!(
        "predicted for {} ({} multiprocessors) from times on {}; not measured\n",
        predicted.gpu, predicted.multiprocessors, predicted.fitted_to
    );
    for layer in &predicted.layers {
        let width = |(w, _): &(usize, f64)| match *w == layer.problem.cout {
            true => format!("[{w}]"),
            false => w.to_string(),
        };
        let list = match layer.widths.as_slice() {
            [] => "not known for this kind".to_owned(),
            widths => widths.iter().map(width).collect::<Vec<_>>().join(" "),
        };
        text += &format!("{}: {list}\n", layer.name);
    }
    text + "[ ] is the present width; the others are the right edges of predicted steps\n"
}
