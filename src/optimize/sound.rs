//! Whether something can be told from samples: what the original gives for each of them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::reporter::ProgressReporter;
use crate::data::Dataset;
use crate::device::Device;
use crate::onnx::Tensor;
use crate::{Error, Result};

/// What is seen of one output.
#[derive(Default)]
struct OutputSummary {
    /// The values for the first sample.
    first: Vec<f64>,
    /// Whether another sample gave others.
    varies: bool,
    /// Samples with an infinite value, and the first of them.
    infinite: usize,
    at: Option<usize>,
    /// Samples seen.
    samples: usize,
}

/// Differences below this share of the greatest value are none.
const SAME: f64 = 1e-6;

/// Runs the original on all samples.
///
/// # Errors
/// When a run fails; when the original gives NaN for a sample, or infinity for a few of them; when it gives the same for all.
pub(super) fn sound(
    data: &Dataset,
    path: &Path,
    device: &dyn Device,
    model: &[u8],
    reporter: &dyn ProgressReporter,
) -> Result<()> {
    let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let mut all: HashMap<String, OutputSummary> = HashMap::new();
    let mut nan: Option<(String, usize)> = None;
    let mut inputs = (0..data.runs()).map(|k| data.run(k).inputs);
    let mut k = 0;
    device.each_output(model, &mut inputs, &mut |outputs| {
        let run = data.run(k);
        let first = (k * data.batch()).min(data.count()) - run.repeated;
        k += 1;
        reporter.progress(k, data.runs());
        for (name, tensor) in &outputs {
            let found = look(all.entry(name.clone()).or_default(), tensor, first..first + run.samples);
            if let (Some(at), None) = (found, &nan) {
                nan = Some((name.clone(), at));
            }
        }
    })?;
    let look_at = "leave it out, or look at how it is scaled: it would spoil what is fitted to it";
    if let Some((name, sample)) = nan {
        return Err(wrong(format!(
            "the model itself gives NaN in output '{name}' for sample {sample}; {look_at}"
        )));
    }
    let few = all.iter().find(|(_, s)| 2 * s.infinite < s.samples && s.infinite > 0);
    if let Some((name, Some(sample))) = few.map(|(name, s)| (name, s.at)) {
        return Err(wrong(format!(
            "the model itself gives infinity in output '{name}' for sample {sample}, and not for most others; {look_at}"
        )));
    }
    let told = all.values().any(|s| s.varies || s.samples < 2);
    if !told && !all.is_empty() {
        return Err(wrong(
            "the model gives the same for all of its samples: what a narrower one loses cannot be told from them. Give samples that \
             differ; a model that mixes the samples of a batch needs the batch size of its deployment"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Looks at an output of a run of the samples with these numbers; a sample with a NaN, if there is one.
fn look(seen: &mut OutputSummary, tensor: &Tensor, samples: Range<usize>) -> Option<usize> {
    let count = samples.len();
    let values = tensor.numbers()?;
    // Samples stand along the first axis, or are not told apart.
    let apart = tensor.dims.first() == Some(&count) && count > 0;
    let parts = if apart { count } else { 1 };
    let size = values.len() / parts;
    let mut nan = None;
    for (i, part) in values.chunks_exact(size.max(1)).take(parts).enumerate() {
        let sample = samples.start + i;
        seen.samples += 1;
        if part.iter().any(|v| v.is_nan()) {
            nan.get_or_insert(sample);
        }
        if part.iter().any(|v| v.is_infinite()) {
            seen.infinite += 1;
            seen.at.get_or_insert(sample);
        }
        if seen.samples == 1 {
            seen.first = part.to_vec();
        } else if !seen.varies {
            let size = seen.first.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let apart = |(a, b): (&f64, &f64)| (a - b).abs() > SAME * size;
            seen.varies = part.len() != seen.first.len() || part.iter().zip(&seen.first).any(apart);
        }
    }
    nan
}

#[cfg(test)]
mod tests {
    use super::{OutputSummary, look};
    use crate::onnx::Tensor;

    #[test]
    fn samples_are_told_apart_and_so_is_what_is_no_number() {
        let tensor = |values: &[f32]| Tensor::from_f32(vec![values.len() / 2, 2], values);
        let mut seen = OutputSummary::default();
        assert_eq!(look(&mut seen, &tensor(&[1.0, 2.0, 1.0, 2.0]), 0..2), None);
        assert!(!seen.varies && seen.samples == 2);
        assert_eq!(look(&mut seen, &tensor(&[1.0, 2.0, f32::NAN, 2.0]), 2..4), Some(3));
        look(&mut seen, &tensor(&[1.0, f32::INFINITY]), 4..5);
        assert_eq!((seen.infinite, seen.at, seen.varies), (1, Some(4), true));
    }
}
