//! The classes that a model gives for real inputs.

use crate::data::Dataset;
use crate::device::Device;
use crate::onnx::Tensor;
use crate::{Error, Result};

/// One model's classes for all samples, the five best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classes {
    /// The five classes with the greatest values; ties go to the lower one. Empty for outputs that are no classes.
    pub best: Vec<Vec<usize>>,
    /// Samples whose best class is the label, and whose five best have it; `None` without labels.
    pub right: Option<(usize, usize)>,
    /// Whether the best class of each sample is its label; empty without labels.
    pub(super) hits: Vec<bool>,
    /// Samples of runs with an output that is NaN or infinite somewhere.
    pub not_numbers: usize,
}

impl Classes {
    /// Those of two sets of samples, one behind the other; `None` where labels are known of one only.
    pub(super) fn joined(&self, other: &Self) -> Option<Self> {
        let both = |a: &[bool], b: &[bool]| a.iter().chain(b).copied().collect();
        Some(Self {
            best: self.best.iter().chain(&other.best).cloned().collect(),
            right: match (self.right, other.right) {
                (Some(a), Some(b)) => Some((a.0 + b.0, a.1 + b.1)),
                (None, None) => None,
                _ => return None,
            },
            hits: both(&self.hits, &other.hits),
            not_numbers: self.not_numbers + other.not_numbers,
        })
    }
}

/// Runs a model on all samples and takes the first output as values of classes. `report` is given how many runs of how many are
/// done.
///
/// # Errors
/// When a run fails, or a label is no class of the model's.
pub fn classes(device: &dyn Device, model: &[u8], data: &Dataset, report: &dyn Fn(usize, usize)) -> Result<Classes> {
    let mut found = Classes::default();
    let mut inputs = (0..data.runs()).map(|k| data.run(k).inputs);
    let mut k = 0;
    let mut strange: Option<(usize, i64, usize)> = None;
    device.each_output(model, &mut inputs, &mut |outputs| {
        let run = data.run(k);
        k += 1;
        report(k, data.runs());
        let new = run.samples - run.repeated;
        let wrong = |(_, t): &(String, Tensor)| t.to_f32().is_some_and(|v| v.iter().any(|x| !x.is_finite()));
        found.not_numbers += if outputs.iter().any(wrong) { new } else { 0 };
        let best = outputs.first().map(|(_, t)| best_classes(t, run.samples));
        for (i, five) in best.unwrap_or_default().into_iter().enumerate().skip(run.repeated) {
            if let Some(&label) = run.labels.and_then(|l| l.get(i)) {
                let classes = outputs.first().and_then(|(_, t)| t.dims.get(1)).copied().unwrap_or(0);
                if usize::try_from(label).is_err() || usize::try_from(label).is_ok_and(|l| l >= classes) {
                    strange.get_or_insert((found.best.len(), label, classes));
                }
                let (top1, top5) = found.right.get_or_insert((0, 0));
                let is = |c: &usize| i64::try_from(*c) == Ok(label);
                let hit = five.first().is_some_and(is);
                *top1 += usize::from(hit);
                *top5 += usize::from(five.iter().any(is));
                found.hits.push(hit);
            }
            found.best.push(five);
        }
    })?;
    if let Some((sample, label, classes)) = strange {
        return Err(Error::Usage(format!(
            "the label of sample {sample} is {label}, and the model has the classes 0 to {}: give labels as the numbers of its classes",
            classes.saturating_sub(1)
        )));
    }
    Ok(found)
}

/// For each of `samples` samples of N×C values (further axes of extent 1 are fine), its five best classes.
fn best_classes(output: &Tensor, samples: usize) -> Vec<Vec<usize>> {
    let classes = output.dims.get(1).copied().unwrap_or(0);
    let flat = output.dims.iter().skip(2).all(|&d| d == 1) && output.dims.first() == Some(&samples);
    let Some(values) = output.to_f32().filter(|_| flat && classes > 1) else {
        return Vec::new();
    };
    let five = |row: &[f32]| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        order.truncate(5);
        order
    };
    values.chunks_exact(classes).map(five).collect()
}

#[cfg(test)]
mod tests {
    use super::{Classes, best_classes};
    use crate::onnx::Tensor;

    #[test]
    fn classes_of_two_sets_are_those_of_all() {
        let one = |hits: &[bool]| Classes {
            best: hits.iter().map(|&h| vec![usize::from(h), 2]).collect(),
            right: Some((hits.iter().filter(|h| **h).count(), hits.len())),
            hits: hits.to_vec(),
            not_numbers: 1,
        };
        let both = one(&[true, false]).joined(&one(&[true]));
        let all = Classes {
            not_numbers: 2,
            ..one(&[true, false, true])
        };
        assert_eq!(both, Some(all));
        assert_eq!(one(&[true]).joined(&Classes::default()), None);
    }

    #[test]
    fn ties_go_to_the_lower_class_and_maps_are_no_classes() {
        let values = Tensor::from_f32(vec![2, 3, 1, 1], &[1.0, 1.0, 0.0, -1.0, 2.0, 3.0]);
        assert_eq!(best_classes(&values, 2), [[0, 1, 2], [2, 1, 0]]);
        assert!(best_classes(&Tensor::from_f32(vec![1, 2, 2, 1], &[0.0; 4]), 1).is_empty());
    }
}
