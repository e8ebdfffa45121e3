//! What a model is for, as its own outputs tell.

use super::options::{Judging, SampleSource};
use super::reporter::ProgressReporter;
use crate::data::{Dataset, Labels};
use crate::device::{Device, InputSpec, random_inputs};
use crate::error::SamplesFault;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::score::LossSpec;
use crate::task::{Evidence, OutputValues, recognize, unfit};
use crate::{Error, Result};

/// Reads the model's task from its own outputs on the first samples, or on random inputs without any.
///
/// # Errors
/// When a run fails, a weight is given for an output that there is not, or an alphabet that is not that of the model's classes.
pub fn judged(
    model: &ModelProto,
    specs: &[InputSpec],
    device: &dyn Device,
    data: Option<&Dataset>,
    judging: &Judging,
) -> Result<LossSpec> {
    let (inputs, samples, class_labels) = match data.map(|d| d.run(0)) {
        Some(run) => (run.inputs, run.samples, run.labels.is_some()),
        None => {
            let inputs = random_inputs(specs, 0, 1.0)?;
            let samples = inputs.first().and_then(|(_, t)| t.dims.first()).copied().unwrap_or(1);
            (inputs, samples, false)
        }
    };
    let outputs = device.outputs(&encode(model), &inputs)?;
    let names: Vec<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
    let outputs = OutputValues::all(&outputs);
    let evidence = Evidence {
        graph: &Graph::of(model)?,
        inputs: specs,
        outputs: &outputs,
        samples,
        class_labels,
    };
    let reading = recognize(evidence, judging.task);
    let reading = match &judging.alphabet {
        Some(alphabet) => reading.with_alphabet(alphabet).map_err(Error::Usage)?,
        None => reading,
    };
    LossSpec::new(reading, &judging.weights, &names)
}

/// Refuses labels that the model's task cannot use. Classes that come with samples, as folders of images do, are only not used then, which
/// is said.
///
/// # Errors
/// When they are of another kind, or none that the model has.
pub fn labels_serve(
    data: &Dataset,
    judged: &LossSpec,
    source: &SampleSource,
    reporter: &dyn ProgressReporter,
) -> Result<()> {
    let Some((labels, reading)) = data.labels().zip(judged.reading.as_ref()) else {
        return Ok(());
    };
    match unfit(labels, reading) {
        Some(_) if matches!(labels, Labels::Classes(_)) && source.labels.is_none() => {
            reporter.note(&format!(
                "{}: its labels are classes, which the task {} makes no use of: models are compared by the original's answers",
                source.path.display(),
                reading.kind
            ));
            Ok(())
        }
        Some(why) => Err(SamplesFault::Labels(why).at(source.labels_path())),
        None => Ok(()),
    }
}
