//! Weights on their way, and one step of theirs.

use std::ops::Range;

use rayon::prelude::*;

use super::adam::Adam;
use super::batches::{Batch, Batches};
use super::choice::Judged;
use super::ends::Trainable;
use super::gradients::{Gradients, Stopped};
use super::open_batch::{TRIED, open_batch};
use super::rate::size;
use super::teaching::{Teaching, samples_of_a_step, taught};
use super::unseen_views::UnseenViews;
use crate::device::{Device, DeviceTensor, NamedTensor, Runner};
use crate::onnx::encode;
use crate::onnx::proto::ModelProto;
use crate::score::Objective;
use crate::{Error, Result};

/// Weights on their way.
pub(super) struct Training<'a> {
    objectives: &'a [Objective],
    teacher: Runner,
    gradients: Gradients,
    own: Batches<'a>,
    /// The next batch, and memory for the one behind it.
    batch: Batch,
    spare: Batch,
    /// Samples that choose, until views of them are made.
    held: Option<Batches<'a>>,
    views: Option<UnseenViews>,
    trained: Vec<Trainable>,
    /// The weights, and those from before.
    pub weights: Vec<Vec<f32>>,
    first: Vec<Vec<f32>>,
    sizes: Vec<f32>,
    moments: Vec<Adam>,
    /// What the model computes with, and gradients: in the same memory step for step.
    computed: Vec<DeviceTensor>,
    sums: Vec<Vec<f32>>,
    /// Runs of a step.
    parts: usize,
}

impl<'a> Training<'a> {
    /// Of a model's weights; or why none can be trained.
    ///
    /// # Errors
    /// When the device refuses a model or a run fails.
    pub fn of(
        device: &dyn Device,
        model: &ModelProto,
        teaching: Teaching<'a>,
        seed: u64,
    ) -> Result<std::result::Result<Self, Stopped>> {
        let samples = samples_of_a_step(teaching.objectives);
        let most = teaching.most.clamp(1, samples);
        let opened = opened(device, model, teaching)?;
        let is_open = opened.is_some();
        let [teacher, pupil] = match &opened {
            Some([teacher, pupil]) => [teacher, pupil],
            None => [teaching.teacher, model],
        };
        let batches = |runs: &Range<usize>| Batches::new(teaching.data, runs.clone(), (most, is_open), seed);
        let (mut own, held) = (batches(teaching.runs), Some(batches(teaching.unseen)));
        let mut batch = Batch::new();
        own.next(&mut batch)?;
        let tensors = batch
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.tensor()?)));
        let first: Vec<NamedTensor> = tensors.collect();
        let gradients = match Gradients::of(device, pupil, &first, teaching.objectives)? {
            Ok(gradients) => gradients,
            Err(stopped) => return Ok(Err(stopped)),
        };
        let trained: Vec<Trainable> = gradients.weights().to_vec();
        let mut weights: Vec<Vec<f32>> = Vec::new();
        for weight in &trained {
            let values = weight.tensor.to_f32();
            weights.push(values.ok_or_else(|| Error::tensor(&weight.name, "holds no floats".to_owned()))?);
        }
        let computed = trained.iter().map(|t| DeviceTensor::new(&t.name, &t.tensor));
        let computed: Vec<DeviceTensor> = computed.collect::<Result<_>>()?;
        Ok(Ok(Self {
            objectives: teaching.objectives,
            teacher: device.runner(&encode(teacher))?,
            parts: samples.div_ceil(own.size()).max(1),
            gradients,
            own,
            batch,
            spare: Batch::new(),
            held,
            views: None,
            trained,
            sizes: weights.iter().map(|w| size(w)).collect(),
            moments: weights.iter().map(|w| Adam::new(w.len())).collect(),
            computed,
            sums: weights.iter().map(|w| vec![0.0; w.len()]).collect(),
            first: weights.clone(),
            weights,
        }))
    }

    /// The weights that are trained.
    pub fn trained(&self) -> &[Trainable] {
        &self.trained
    }

    /// Whether the judge measures what steps make smaller: scores of detectors are taught by a divergence, and judged by squared errors.
    pub fn is_judged_alike(&self) -> bool {
        !self.objectives.iter().any(Objective::counts_values)
    }

    /// What no gradient reaches.
    pub fn stopped(&self) -> &Stopped {
        &self.gradients.stopped
    }

    /// Back to the weights from before.
    pub fn begin_again(&mut self) {
        self.weights.clone_from(&self.first);
        self.moments = self.weights.iter().map(|w| Adam::new(w.len())).collect();
    }

    /// One step of at most `rate` of a tensor's size; `false` where gradients are no numbers, and nothing changes.
    ///
    /// # Errors
    /// When a run fails.
    pub fn step(&mut self, rate: f32) -> Result<bool> {
        self.compute();
        self.sums.par_iter_mut().for_each(|sum| sum.fill(0.0));
        for _ in 0..self.parts {
            let (teacher, gradients, sums) = (&mut self.teacher, &mut self.gradients, &mut self.sums);
            let (own, spare) = (&mut self.own, &mut self.spare);
            let (objectives, samples, share) = (self.objectives, own.size(), 1.0 / self.parts as f32);
            let (computed, batch) = (&self.computed, &self.batch);
            // A device computes while the next batch is made.
            let (run, made) = rayon::join(
                || {
                    let taught = taught(teacher, objectives, batch, samples)?;
                    gradients.add(computed, batch, &taught, share, sums)
                },
                || own.next(spare),
            );
            run?;
            made?;
            std::mem::swap(&mut self.batch, &mut self.spare);
        }
        if !self.sums.par_iter().all(|sum| sum.iter().all(|g| g.is_finite())) {
            return Ok(false);
        }
        let each = self.weights.par_iter_mut().zip(&self.sums).zip(&self.sizes);
        each.zip(&self.trained)
            .zip(&mut self.moments)
            .for_each(|((((values, gradient), size), trained), adam)| {
                adam.step(values, gradient, rate * size);
                trained.hold(values);
            });
        Ok(true)
    }

    /// Takes the weights over into what the model computes with.
    fn compute(&mut self) {
        let each = self.computed.par_iter_mut().zip(&self.weights).zip(&self.trained);
        each.for_each(|((value, weights), trained)| {
            if let Some(into) = value.floats_mut() {
                trained.compute(weights, into);
            }
        });
    }

    /// What the weights lose on other views of the samples that choose, `count` batches of them, where there are any. The first call makes the
    /// views.
    ///
    /// # Errors
    /// When a run fails.
    pub fn on_views(&mut self, count: usize) -> Result<Option<f64>> {
        if let Some(batches) = self.held.take() {
            self.views = UnseenViews::of(batches, &mut self.teacher, self.objectives, count)?;
        }
        self.compute();
        let Some(views) = &self.views else { return Ok(None) };
        views.loss(&mut self.gradients, &self.computed).map(Some)
    }

    /// The same of the weights from before, which lose `loss` by the judge.
    ///
    /// # Errors
    /// When a run fails.
    pub fn before(&mut self, loss: f64, count: usize) -> Result<Judged> {
        let now = std::mem::take(&mut self.weights);
        self.weights.clone_from(&self.first);
        let on_views = self.on_views(count);
        self.weights = now;
        Ok(Judged {
            step: 0,
            loss,
            on_views: on_views?,
        })
    }
}

/// Teacher and model with an open number of samples in a run, where the file's is fixed, more fit into memory, and the device has a memory of its
/// own: launching is what small runs cost there, while a CPU's caches hold one sample sooner than many.
fn opened(device: &dyn Device, model: &ModelProto, teaching: Teaching) -> Result<Option<[ModelProto; 2]>> {
    let data = teaching.data;
    let small = teaching.most > data.batch() && !(data.is_open() && data.batch() > 1);
    if device.memory().is_none() || !small {
        return Ok(None);
    }
    let runs: Vec<_> = teaching.runs.clone().take(TRIED).map(|k| data.run(k).inputs).collect();
    let Some(teacher) = open_batch(device, teaching.teacher, &runs)? else {
        return Ok(None);
    };
    Ok(open_batch(device, model, &runs)?.map(|model| [teacher, model]))
}
