//! Whether samples look like what a model was trained on: by the means and variances that its BatchNormalizations hold, and by outputs
//! that hardly differ from sample to sample. Noise is fitted as gladly as images are, and agreement on it tells nothing.

use std::collections::HashMap;

use crate::Result;
use crate::data::Dataset;
use crate::device::Device;
use crate::onnx::proto::{ModelProto, ValueInfoProto};
use crate::onnx::{Graph, Tensor, encode, named_value};
use crate::ops::{ChannelAffine, is_batch_norm};
use crate::profile::median;
use crate::task::best_class;

/// Samples that are looked at, and the fewest that tell anything of outputs.
const LOOKED_AT: usize = 64;
const FEWEST: usize = 16;
/// BatchNormalizations that are looked at.
const LAYERS: usize = 12;
/// Means are off by so many deviations (root of the mean square over channels), or deviations by so many times, in the median layer.
const MEANS_OFF: f64 = 1.0;
const DEVIATIONS_OFF: f64 = 2.5;
/// So large a share of samples gets one class of three and more.
const ONE_CLASS: f64 = 0.9;
/// Outputs differ between samples by at most this share of what they vary in all.
const HARDLY: f64 = 0.05;

/// What speaks against the samples of a dataset.
///
/// # Errors
/// When a run fails.
pub(super) fn strange(data: &Dataset, device: &dyn Device, model: &ModelProto) -> Result<Vec<String>> {
    let graph = Graph::of(model)?;
    let mut norms = norms(&graph);
    let mut watched = model.clone();
    if let Some(own) = watched.graph.as_mut() {
        let known: Vec<String> = own.output.iter().map(|o| o.name().to_owned()).collect();
        let new = norms.iter().filter(|n| !known.contains(&n.input));
        let new: Vec<ValueInfoProto> = new.map(|n| named_value(&n.input)).collect();
        own.output.extend(new);
    }
    let outputs: Vec<String> = graph.proto.output.iter().map(|o| o.name().to_owned()).collect();
    let mut seen: HashMap<String, SampleOutputs> = HashMap::new();
    let runs = LOOKED_AT.div_ceil(data.batch().max(1)).min(data.runs());
    // Spread over all samples: what stands side by side may be alike.
    let picked: Vec<usize> = (0..runs).map(|k| k * data.runs() / runs.max(1)).collect();
    let mut inputs = picked.iter().map(|&k| data.run(k).inputs);
    let mut at = 0;
    device.each_output(&encode(&watched), &mut inputs, &mut |made| {
        let samples = data.run(picked[at]).samples;
        at += 1;
        for (name, tensor) in made {
            norms
                .iter_mut()
                .filter(|n| n.input == name)
                .for_each(|n| n.add(&tensor));
            if outputs.contains(&name) {
                seen.entry(name).or_default().add(&tensor, samples);
            }
        }
    })?;
    let mut found: Vec<String> = off(&norms).into_iter().collect();
    found.extend(outputs.iter().filter_map(|name| seen.get(name)?.alike(name)));
    Ok(found)
}

/// What a BatchNormalization reads, beside what it holds.
struct Norm {
    input: String,
    means: Vec<f64>,
    variances: Vec<f64>,
    /// Of every channel: values seen, their sum and the sum of their squares.
    sums: Vec<[f64; 3]>,
}

/// Some of a graph's BatchNormalizations, spread over it.
fn norms(graph: &Graph) -> Vec<Norm> {
    let all: Vec<usize> = (0..graph.proto.node.len())
        .filter(|&n| is_batch_norm(&graph.proto.node[n]))
        .collect();
    let count = all.len().min(LAYERS);
    let spread = (0..count).map(|k| &graph.proto.node[all[k * all.len() / count]]);
    let of = |node: &crate::onnx::proto::NodeProto| {
        // That it is followed, and that its parameters are in the file.
        ChannelAffine::of(graph, node)?;
        let parameter = |i: usize| -> Option<Vec<f64>> {
            let values = graph.stored(node.input.get(i)?)?.to_f32()?;
            Some(values.into_iter().map(f64::from).collect())
        };
        let (means, variances) = (parameter(3)?, parameter(4)?);
        let input = node.input.first()?;
        graph.producer.contains_key(input.as_str()).then(|| Norm {
            input: input.clone(),
            sums: vec![[0.0; 3]; means.len()],
            means,
            variances,
        })
    };
    spread.filter_map(of).collect()
}

impl Norm {
    /// Adds values of N × channels × places.
    fn add(&mut self, tensor: &Tensor) {
        let channels = self.means.len();
        let Some(values) = tensor.numbers().filter(|_| tensor.dims.get(1) == Some(&channels)) else {
            return;
        };
        let places: usize = tensor.dims[2..].iter().product();
        for (k, part) in values.chunks_exact(places.max(1)).enumerate() {
            let sum = &mut self.sums[k % channels];
            sum[0] += part.len() as f64;
            sum[1] += part.iter().sum::<f64>();
            sum[2] += part.iter().map(|v| v * v).sum::<f64>();
        }
    }

    /// How many deviations means are off (root mean square over channels), and how many times deviations are (the geometric mean, 1 or
    /// more); `None` where nothing was seen.
    fn off(&self) -> Option<(f64, f64)> {
        let (mut means, mut logs, mut count) = (0.0, 0.0, 0.0f64);
        for (k, &[n, sum, squares]) in self.sums.iter().enumerate() {
            let variance = self.variances[k];
            if n < 2.0 || variance.is_nan() || variance <= 1e-10 {
                continue;
            }
            let mean = sum / n;
            let own = (squares / n - mean * mean).max(1e-6 * variance);
            means += (mean - self.means[k]).powi(2) / variance;
            logs += 0.5 * (own / variance).ln();
            count += 1.0;
        }
        (count > 0.0).then(|| ((means / count).sqrt(), (logs / count).abs().exp()))
    }
}

/// Says where what the layers see is far from what they hold.
fn off(norms: &[Norm]) -> Option<String> {
    let (means, deviations): (Vec<f64>, Vec<f64>) = norms.iter().filter_map(Norm::off).unzip();
    let (means, deviations) = (median(&means), median(&deviations));
    (means > MEANS_OFF || deviations > DEVIATIONS_OFF).then(|| {
        format!(
            "in the median BatchNormalization, means are {means:.1} deviations from what the model was trained on, and deviations \
             {deviations:.1} times off"
        )
    })
}

/// The values of an output, sample by sample.
#[derive(Default)]
struct SampleOutputs {
    samples: Vec<Vec<f64>>,
    /// Whether each sample is one row of classes.
    classes: bool,
}

impl SampleOutputs {
    fn add(&mut self, tensor: &Tensor, samples: usize) {
        let Some(values) = tensor.numbers().filter(|_| tensor.dims.first() == Some(&samples)) else {
            return;
        };
        let size = values.len().checked_div(samples).unwrap_or(0);
        if size == 0 || self.samples.first().is_some_and(|s| s.len() != size) {
            return;
        }
        self.classes = tensor.is_float() && tensor.dims.get(1) == Some(&size);
        self.samples.extend(values.chunks_exact(size).map(<[f64]>::to_vec));
    }

    /// Says that all samples give about the same.
    fn alike(&self, name: &str) -> Option<String> {
        let count = self.samples.len();
        let size = self.samples.first()?.len();
        let finite = self.samples.iter().flatten().all(|v| v.is_finite());
        if count < FEWEST || !self.classes || size < 3 || !finite {
            return None;
        }
        let mut of_class: HashMap<usize, usize> = HashMap::new();
        for row in &self.samples {
            *of_class.entry(best_class(row)).or_default() += 1;
        }
        let most = of_class.values().copied().max()?;
        if most as f64 > ONE_CLASS * count as f64 {
            return Some(format!(
                "{most} of {count} samples get one and the same class of output '{name}'"
            ));
        }
        let whole = self.samples.iter().flatten().sum::<f64>() / (count * size) as f64;
        let all: f64 = self.samples.iter().flatten().map(|v| (v - whole).powi(2)).sum();
        let mut between = 0.0;
        for c in 0..size {
            let mean = self.samples.iter().map(|s| s[c]).sum::<f64>() / count as f64;
            between += self.samples.iter().map(|s| (s[c] - mean).powi(2)).sum::<f64>();
        }
        (between < HARDLY * all).then(|| {
            let share = 100.0 * between / all;
            format!("output '{name}' hardly differs between samples: {share:.1} % of how it varies in all")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Norm, SampleOutputs, off};
    use crate::onnx::Tensor;

    /// What `samples` rows of four classes say.
    fn told(row: impl Fn(usize) -> [f32; 4]) -> Option<String> {
        let mut seen = SampleOutputs::default();
        let values: Vec<f32> = (0..32).flat_map(row).collect();
        seen.add(&Tensor::from_f32(vec![32, 4], &values), 32);
        seen.alike("y")
    }

    #[test]
    fn samples_that_all_give_the_same_are_told() {
        let one_hot = |class: usize| [0, 1, 2, 3].map(|c| f32::from(u8::from(c == class)));
        assert_eq!(told(|k| one_hot(k % 4)), None);
        assert!(told(|k| one_hot(usize::from(k == 7))).is_some_and(|t| t.contains("31 of 32")));
        let near = |k: usize| [4.0, 4.0 + 0.02 * (k as f32 % 3.0 - 1.0), -3.0, 0.0];
        assert!(told(near).is_some_and(|t| t.contains("hardly differs")));
        // Few samples tell nothing.
        let mut few = SampleOutputs::default();
        few.add(&Tensor::from_f32(vec![2, 4], &[1.0; 8]), 2);
        assert_eq!(few.alike("y"), None);
    }

    #[test]
    fn what_is_far_from_the_stored_means_is_told() {
        let norm = |shift: f32, scale: f32| {
            let mut norm = Norm {
                input: "x".to_owned(),
                means: vec![1.0, -2.0],
                variances: vec![4.0, 0.25],
                sums: vec![[0.0; 3]; 2],
            };
            // Two channels at 4 places: mean and deviation as stored, shifted and scaled in deviations.
            let places =
                |mean: f32, deviation: f32| [1.0, -1.0, 1.0, -1.0].map(|v| mean + deviation * (scale * v + shift));
            let values: Vec<f32> = [places(1.0, 2.0), places(-2.0, 0.5)].concat();
            norm.add(&Tensor::from_f32(vec![1, 2, 4], &values));
            norm
        };
        assert_eq!(off(&[norm(0.0, 1.0)]), None);
        assert!(off(&[norm(1.5, 1.0)]).is_some_and(|t| t.contains("means are 1.5")));
        assert!(off(&[norm(0.0, 0.2)]).is_some_and(|t| t.contains("5.0 times off")));
        assert_eq!(off(&[norm(0.0, 1.0), norm(0.2, 1.2), norm(9.0, 9.0)]), None);
        assert_eq!(off(&[]), None);
    }
}
