//! Outputs of two models, element by element.

use std::path::PathBuf;

use super::device::DeviceSettings;
use super::files::note_order;
use crate::device::{InputSpec, ShapeOptions, Stop, input_specs, random_inputs, unsettled};
use crate::onnx::{Graph, Model, load_as};
use crate::optimize::{ProgressReporter, SampleSource};
use crate::verify::{Pair, Tolerance, Tried, pairs};
use crate::{Error, Result};

/// Settings of a comparison.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    /// The model that is right.
    pub first: PathBuf,
    /// The model to compare with it; its inputs are the same.
    pub second: PathBuf,
    /// The device and the library.
    pub device: DeviceSettings,
    /// The input shapes.
    pub shapes: ShapeOptions,
    /// Real inputs, in place of random ones.
    pub eval: Option<SampleSource>,
    /// The tolerated difference.
    pub tolerance: Tolerance,
    /// Random inputs to try.
    pub tries: u64,
    /// Seed of the random inputs.
    pub seed: u64,
}

/// Compares the outputs of two models, one entry an output.
///
/// # Errors
/// When a model or the data cannot be read, the models take different inputs, or a run fails.
pub fn verify(settings: &VerifySettings, stop: &Stop, reporter: &dyn ProgressReporter) -> Result<Vec<Pair>> {
    let runtime = settings.device.runtime(stop)?;
    let device = settings.device.open(&runtime)?;
    let (first, second) = (
        load_as(&settings.first, &settings.shapes.reading)?,
        load_as(&settings.second, &settings.shapes.reading)?,
    );
    for (path, model) in [(&settings.first, &first), (&settings.second, &second)] {
        note_order(path, model, reporter);
    }
    let specs = |m: &Model| -> Result<Vec<InputSpec>> { input_specs(&Graph::of(&m.proto)?, &settings.shapes) };
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
            settings.first.display(),
            settings.second.display()
        )));
    }
    let models = [first.into_bytes(), second.into_bytes()];
    let models = [&models[0][..], &models[1][..]];
    let Some(source) = &settings.eval else {
        let mut inputs = Vec::new();
        for k in 0..settings.tries {
            inputs.push(Tried {
                inputs: random_inputs(&own, settings.seed.wrapping_add(k), 1.0)?,
                samples: 1,
                repeated: 0,
            });
        }
        let found = pairs(device.as_ref(), models, &mut inputs.into_iter(), settings.tolerance);
        return found.map_err(|e| unsettled(&own, e));
    };
    let data = source.read_any(&own)?.settled(device.as_ref(), models[0])?;
    data.notes().iter().for_each(|note| reporter.note(note));
    let mut runs = (0..data.runs()).map(|k| {
        let run = data.run(k);
        Tried {
            samples: run.samples,
            repeated: run.repeated,
            inputs: run.inputs,
        }
    });
    // Samples have shapes of their own.
    pairs(device.as_ref(), models, &mut runs, settings.tolerance)
}
