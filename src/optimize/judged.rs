//! What a model is for, as its own outputs tell.

use std::path::Path;

use super::options::Judging;
use crate::Result;
use crate::data::Dataset;
use crate::device::{Device, InputSpec, random_inputs};
use crate::error::SamplesFault;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::score::LossSpec;
use crate::task::{Evidence, OutputValues, recognize, unfit};

/// Reads the model's task from its own outputs on the first samples, or on random inputs without any.
///
/// # Errors
/// When a run fails, or a weight is given for an output that there is not.
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
    LossSpec::new(recognize(evidence, judging.task), &judging.weights, &names)
}

/// Refuses labels that the model's task cannot use.
///
/// # Errors
/// When they are of another kind; `path` is where they come from.
pub fn labels_serve(data: &Dataset, judged: &LossSpec, path: &Path) -> Result<()> {
    let both = data.labels().zip(judged.reading.as_ref());
    match both.and_then(|(labels, reading)| unfit(labels, reading.kind)) {
        Some(why) => Err(SamplesFault::Labels(why).at(path)),
        None => Ok(()),
    }
}
