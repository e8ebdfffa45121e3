//! `snapprune verify A.onnx B.onnx`.

use std::path::Path;

use serde_json::json;

use super::args::VerifyArgs;
use super::setup;
use crate::data::Dataset;
use crate::device::{InputSpec, Named, input_specs, random_inputs, unsettled};
use crate::onnx::{Graph, Model, load_as};
use crate::report::table;
use crate::verify::{Pair, Tolerance, Tried, pairs};
use crate::{Error, Result};

/// Whether the outputs are the same within the tolerance.
pub(super) fn run(args: &VerifyArgs) -> Result<bool> {
    let runtime = setup::runtime(args.device.ort_lib.as_deref())?;
    let device = setup::device(&runtime, &args.device)?;
    let shapes = setup::shapes(&args.shapes)?;
    let read = |path: &Path| load_as(path, &shapes.reading);
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    for (path, model) in [(&args.first, &first), (&args.second, &second)] {
        setup::note_order(path, model);
    }
    let specs = |m: &Model| -> Result<Vec<InputSpec>> { input_specs(&Graph::of(&m.proto)?, &shapes) };
    let (own, other) = (specs(&first)?, specs(&second)?);
    let shape = |specs: &[InputSpec]| {
        specs
            .iter()
            .map(|s| (s.name.clone(), s.dims.clone(), s.dtype))
            .collect::<Vec<_>>()
    };
    if shape(&own) != shape(&other) {
        return Err(Error::Usage(format!(
            "{} and {} take other inputs; verify compares models with the same inputs",
            args.first.display(),
            args.second.display()
        )));
    }
    let tolerance = Tolerance {
        relative: args.rtol,
        absolute: args.atol,
    };
    let data = args
        .data
        .eval
        .as_ref()
        .map(|path| Dataset::read_any(path, &own, &args.data.scaling()))
        .transpose()?;
    let models = [first.into_bytes(), second.into_bytes()];
    let data = data.map(|d| d.settled(device.as_ref(), &models[0])).transpose()?;
    data.iter()
        .flat_map(Dataset::notes)
        .for_each(|n| eprintln!("note: {n}"));
    let random: Vec<Tried> = match &data {
        Some(_) => Vec::new(),
        None => {
            let seeds = (0..args.tries).map(|k| args.seed.wrapping_add(k));
            let tried = |inputs: Vec<Named>| Tried {
                inputs,
                samples: 1,
                repeated: 0,
            };
            seeds
                .map(|s| random_inputs(&own, s, 1.0).map(tried))
                .collect::<Result<_>>()?
        }
    };
    let real = data.iter().flat_map(|d| {
        (0..d.runs()).map(|k| {
            let run = d.run(k);
            Tried {
                samples: run.samples,
                repeated: run.repeated,
                inputs: run.inputs,
            }
        })
    });
    let found = pairs(
        device.as_ref(),
        [&models[0], &models[1]],
        &mut random.into_iter().chain(real),
        tolerance,
    );
    // Samples have extents of their own.
    let found = found.map_err(|e| if data.is_some() { e } else { unsettled(&own, e) })?;
    let same = found.iter().all(|p| p.different == 0);
    if args.json {
        let text = json!({ "schema_version": 1, "same": same, "tolerance": tolerance, "outputs": found });
        println!("{text:#}");
    } else {
        print!("{}", shown(&found, tolerance));
    }
    Ok(same)
}

fn shown(found: &[Pair], tolerance: Tolerance) -> String {
    let mut rows = table(
        &["output", "elements", "differ", "largest", "relative", "worst"],
        &[1, 2, 3, 4],
    );
    for p in found {
        rows.add_row([
            p.name.clone(),
            p.elements.to_string(),
            p.different.to_string(),
            format!("{:.1e}", p.max_abs),
            format!("{:.1e}", p.max_rel),
            p.worst
                .map_or(String::new(), |(at, a, b)| format!("element {at}: {a:.6e} and {b:.6e}")),
        ]);
    }
    let different: usize = found.iter().map(|p| p.different).sum();
    let rule = format!("|a − b| ≤ {:e} + {:e}·|a|", tolerance.absolute, tolerance.relative);
    match different {
        0 => format!("{rows}\nsame      all outputs, by {rule}\n"),
        n => format!("{rows}\ndifferent {n} elements, by {rule}\n"),
    }
}
