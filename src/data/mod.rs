//! Real inputs: arrays of an `.npz` file or a folder of images as the inputs of a model, with labels where there are
//! some.

mod batching;
mod folder;
mod geometry;
mod halves;
mod images;
mod labelled;
mod labels;
mod npz;
mod npz_head;
mod npz_texts;
mod numbers;
mod picture;
mod preprocessing;
mod reading;
mod resizing;
mod runs;
mod sample_run;
mod source;

use std::ops::Range;
use std::path::Path;

use crate::device::InputSpec;
use crate::error::{SamplesError, SamplesFault};
use crate::onnx::Tensor;
use crate::{Error, Result};
use reading::{of_folder, of_npz};
use runs::{BATCH, alike, batch_of, even_batch};
use sample_run::Known;
use source::StoredSamples;

pub use geometry::{Geometry, ImagePlace};
pub use labels::{BoxLabels, LabelBox, Labels, Mask};
pub use picture::Picture;
pub use preprocessing::{ChannelOrder, ImageLayout, PixelRange, Preprocessing, Resize, Scaling};
pub use sample_run::SampleRun;

/// Samples for a model.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Name, samples and number of axes of each input.
    inputs: Vec<(String, StoredSamples, usize)>,
    /// What is right for them.
    labels: Option<Labels>,
    /// Where images lie in their input; empty where samples are no images.
    places: Vec<ImagePlace>,
    /// Samples, and samples in a run.
    count: usize,
    batch: usize,
    /// Whether a run may hold fewer samples.
    open: bool,
    /// Samples in a run at the extents that the model was opened with.
    declared: usize,
    /// What the user should know of the file.
    notes: Vec<String>,
    /// How images become inputs.
    how: Preprocessing,
}

impl Dataset {
    /// Reads samples from an `.npz` file: arrays named after the model's inputs, samples first, of any type whose values the
    /// input's type holds; or `images`, uint8 N×H×W×C, for a model with one image input, scaled and brought to the input's
    /// layout; and `labels`, whole numbers, if there are any. Or from a folder of PNG and JPEG images; the folders in it are
    /// the classes, numbered by name. `how`: how images become inputs, or their scaling alone.
    ///
    /// # Errors
    /// When the file cannot be read, an input has no array, shapes or values do not fit the model's, or a value is NaN or
    /// infinite.
    pub fn read(path: &Path, specs: &[InputSpec], how: impl Into<Preprocessing>) -> Result<Self> {
        Self::read_at_most(path, specs, how, 0)
    }

    /// The same; of a folder's images only so many are read, spread evenly (0: all).
    ///
    /// # Errors
    /// Those of [`Dataset::read`].
    pub fn read_at_most(path: &Path, specs: &[InputSpec], how: impl Into<Preprocessing>, most: usize) -> Result<Self> {
        let data = Self::read_raw(path, specs, &how.into(), most)?;
        for (name, source, _) in &data.inputs {
            if let Some(what) = source.not_finite() {
                let what = format!(
                    "input '{name}': {what}; leave that sample out, or mend it: nothing can be told from values that are no numbers"
                );
                return Err(SamplesFault::Contents(what).at(path));
            }
        }
        Ok(data)
    }

    /// The same; values may be NaN or infinite.
    ///
    /// # Errors
    /// The other ones of [`Dataset::read`].
    pub fn read_any(path: &Path, specs: &[InputSpec], how: impl Into<Preprocessing>) -> Result<Self> {
        Self::read_raw(path, specs, &how.into(), 0)
    }

    fn read_raw(path: &Path, specs: &[InputSpec], how: &Preprocessing, most: usize) -> Result<Self> {
        let wrong = |what: String| SamplesFault::Contents(what).at(path);
        let read = if path.is_dir() {
            of_folder(path, specs, how, most)?
        } else {
            of_npz(path, specs, how)?
        };
        for (source, spec) in read.sources.iter().zip(specs) {
            source.fits(spec).map_err(|fault| fault.at(path))?;
        }
        let counts: Vec<usize> = read.sources.iter().filter_map(StoredSamples::count).collect();
        let count = counts.first().copied().unwrap_or(0);
        let uneven = counts.iter().any(|&n| n != count);
        if count == 0 || uneven || read.labels.as_ref().is_some_and(|l| l.count() != count) {
            return Err(wrong("its arrays hold no samples, or not equally many".to_owned()));
        }
        let numbers = specs
            .iter()
            .zip(&read.sources)
            .any(|(s, source)| s.dims.is_empty() && source.count().is_some());
        let (open, declared) = batch_of(specs, &read.sources);
        if let Some((spec, _)) = specs
            .iter()
            .zip(&read.sources)
            .find(|(s, _)| numbers && !open && declared > 1 && s.dims.is_empty())
        {
            return Err(wrong(format!(
                "input '{}' is one number for a whole run, and the model runs {declared} samples at a time; give one value for all, as an \
                 array without axes",
                spec.name
            )));
        }
        let batch = if numbers {
            1
        } else if open {
            even_batch(count)
        } else {
            declared
        };
        if batch > count {
            return Err(wrong(format!(
                "the model runs {batch} samples at a time; the file holds {count}"
            )));
        }
        let inputs = specs.iter().zip(read.sources);
        Ok(Self {
            inputs: inputs
                .map(|(s, source)| (s.name.clone(), source, s.dims.len()))
                .collect(),
            labels: read.labels,
            places: read.places,
            count,
            batch,
            open,
            declared,
            notes: read.notes,
            how: how.clone(),
        })
    }

    /// Random samples between -1 and 1, for models of floats; as many as make whole runs.
    ///
    /// # Errors
    /// When an input is not of floats.
    pub fn random(specs: &[InputSpec], samples: usize, seed: u64) -> Result<Self> {
        let made = |fault| Error::Samples(SamplesError { path: None, fault });
        let mut random = fastrand::Rng::with_seed(seed);
        let (open, declared) = batch_of(specs, &[]);
        let batch = if open { samples.clamp(1, BATCH) } else { declared };
        let count = samples.max(batch) / batch * batch;
        let mut inputs = Vec::new();
        for spec in specs {
            let mut dims = spec.dims.clone();
            if let Some(first) = dims.first_mut() {
                *first = count;
            }
            let values: Vec<f32> = (0..dims.iter().product()).map(|_| random.f32() * 2.0 - 1.0).collect();
            let values = Tensor::from_f32(dims, &values).cast(spec.dtype);
            if values.dtype != spec.dtype {
                return Err(made(SamplesFault::NotFloats {
                    input: spec.name.clone(),
                }));
            }
            let source = if spec.dims.is_empty() {
                StoredSamples::Shared(values)
            } else {
                StoredSamples::Values(values, 0)
            };
            source.fits(spec).map_err(made)?;
            inputs.push((spec.name.clone(), source, spec.dims.len()));
        }
        Ok(Self {
            inputs,
            labels: None,
            places: Vec::new(),
            count,
            batch,
            open,
            declared,
            notes: Vec::new(),
            how: Preprocessing::default(),
        })
    }

    /// The same samples, so many in a run.
    pub fn in_runs_of(&self, batch: usize) -> Self {
        Self {
            batch: batch.clamp(1, self.count.max(1)),
            ..self.clone()
        }
    }

    /// Samples.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A hash of the inputs of all samples, in their order.
    pub fn digest(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for (name, source, rank) in &self.inputs {
            hash.update(name.as_bytes());
            let samples = if source.count().is_some() { self.count } else { 1 };
            for i in 0..samples {
                hash.update(&source.part(i, i + 1, *rank).bytes);
            }
        }
        hash.finalize().to_hex().to_string()
    }

    /// Samples in a run; the last one may hold fewer.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Whether a run may hold any number of samples.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Samples in a run at the extents that the model was opened with.
    pub fn declared(&self) -> usize {
        self.declared
    }

    /// What the user should know of the file.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The same samples, at most so many of them, spread evenly. Runs of an open batch stay alike.
    pub fn at_most(self, most: usize) -> Self {
        if most == 0 || most >= self.count {
            return self;
        }
        let most = most.max(if self.open { 1 } else { self.batch });
        let picked: Vec<usize> = (0..most).map(|k| k * self.count / most).collect();
        self.only(&picked)
    }

    /// Some of the samples. Runs of an open batch stay alike.
    fn only(mut self, picked: &[usize]) -> Self {
        for (_, source, _) in &mut self.inputs {
            source.pick(picked);
        }
        self.labels = self.labels.map(|l| l.picked(picked));
        self.places = picked.iter().filter_map(|&i| self.places.get(i).cloned()).collect();
        self.count = picked.len();
        if self.open && self.batch > 1 {
            self.batch = even_batch(self.count);
        }
        self
    }

    /// The same; a few less where only then all runs of an open batch are alike.
    pub fn at_most_alike(self, most: usize) -> Self {
        if most >= self.count || !self.open {
            return self.at_most(most);
        }
        self.at_most(alike(most))
    }

    /// The samples of some runs.
    #[must_use]
    pub fn of_runs(&self, runs: Range<usize>) -> Self {
        let places = runs.start * self.batch..(runs.end * self.batch).min(self.count);
        self.clone().only(&places.collect::<Vec<_>>())
    }

    /// Runs that hold all samples.
    pub fn runs(&self) -> usize {
        self.count.div_ceil(self.batch.max(1))
    }

    /// Runs that share no sample: a model with a fixed batch leaves the last few out.
    pub fn distinct_runs(&self) -> usize {
        match self.open {
            true => self.runs(),
            false => self.count / self.batch.max(1),
        }
    }

    /// Samples that some runs hold, each counted once.
    pub fn samples_of(&self, runs: Range<usize>) -> usize {
        (runs.end * self.batch)
            .min(self.count)
            .saturating_sub(runs.start * self.batch)
    }

    /// Numbers of all inputs of a whole run.
    pub fn run_elements(&self) -> usize {
        let samples = self.batch.min(self.count);
        self.inputs.iter().map(|(_, s, _)| s.elements(samples)).sum()
    }

    /// Run `k`.
    pub fn run(&self, k: usize) -> SampleRun<'_> {
        let to = ((k + 1) * self.batch).min(self.count);
        let wanted = (k * self.batch).min(to);
        let from = if self.open {
            wanted
        } else {
            to.saturating_sub(self.batch)
        };
        let inputs = self.inputs.iter();
        SampleRun {
            inputs: inputs
                .map(|(n, s, rank)| (n.clone(), s.part(from, to, *rank)))
                .collect(),
            labels: match &self.labels {
                Some(Labels::Classes(all)) => all.get(from..to),
                _ => None,
            },
            samples: to - from,
            repeated: wanted - from,
            known: Known {
                labels: self.labels.as_ref(),
                places: &self.places,
            },
            from,
        }
    }
}

#[cfg(test)]
mod tests;
