//! Gradient steps, and which of the weights on the way are taken.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::adam::Adam;
use super::batches::Batches;
use super::choice::{Choice, Judged};
use super::ends::Trainable;
use super::gradients::Gradients;
use super::open_batch::{TRIED, open_batch};
use super::rate::{fitting, rate, size};
use super::unseen_views::UnseenViews;
use crate::data::Dataset;
use crate::device::Device;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Tensor, encode};
use crate::score::{Objective, Watch};
use crate::{Error, Result};

/// Samples of one step, at least.
const SAMPLES: usize = 64;
/// The same where every sample has answers at many places.
const OF_PLACES: usize = 16;
/// How often the weights are judged.
const JUDGED: usize = 8;
/// Batches of other views that weights are judged on, at most.
const VIEWS: usize = 4;
/// Steps of the whole for one such batch of a judgement, so that judging takes some eighth of the time.
const PER_VIEWS: usize = 9;
/// Steps that tell how long one takes; twice as many tell it anew, and so on.
const TIMED: usize = 3;

/// How many steps are made.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Steps, at most.
    pub steps: usize,
    /// So long, at most; fewer steps are planned where they would take longer.
    pub at_most: Duration,
    /// Seed of the order of samples.
    pub seed: u64,
}

/// Who teaches what, on which samples.
#[derive(Clone, Copy)]
pub struct Teaching<'a> {
    /// The original.
    pub teacher: &'a ModelProto,
    /// What its outputs are compared as.
    pub objectives: &'a [Objective],
    /// Samples.
    pub data: &'a Dataset,
    /// The runs that steps are made on.
    pub runs: &'a Range<usize>,
    /// Runs of others, whose other views tell which weights are taken, besides the judge.
    pub unseen: &'a Range<usize>,
    /// Samples that memory holds the values of, where their number in a run is open; of fixed runs there is one at a time.
    pub most: usize,
}

/// Samples of one step.
pub fn samples_of_a_step(objectives: &[Objective]) -> usize {
    match objectives.iter().any(Objective::has_places) {
        true => OF_PLACES,
        false => SAMPLES,
    }
}

/// What the steps gave.
#[derive(Debug)]
pub struct Distilled {
    /// The model with the weights that lost least where they were judged; `None` where those it had do.
    pub model: Option<ModelProto>,
    /// Steps that were made.
    pub steps: usize,
    /// What the model lost before, and what it loses with the weights that did best, on the samples that choose; `None` where no weight can be
    /// trained.
    pub losses: Option<[Judged; 2]>,
    /// All weights on the way that were judged.
    pub judged: Vec<Judged>,
    /// Weights that were trained, and those that no gradient reaches.
    pub tensors: [usize; 2],
    /// Operators that gradients do not pass.
    pub stopped_by: Vec<String>,
}

/// Makes gradient steps on samples; `judge` says what a model loses on others, by which the weights are taken. No
/// steps are made where no gradient reaches a weight.
///
/// # Errors
/// When the device refuses a model or a run fails.
pub fn distill(
    device: &dyn Device,
    model: &ModelProto,
    teaching: Teaching,
    schedule: Schedule,
    judge: &dyn Fn(&ModelProto) -> Result<f64>,
    watch: Watch,
) -> Result<Distilled> {
    let run = teaching.data.batch();
    match trained(device, model, teaching, schedule, judge, watch) {
        // A device may hold a run, and no more.
        Err(Error::Session(_)) if teaching.most > run => {
            let fewer = Teaching { most: run, ..teaching };
            trained(device, model, fewer, schedule, judge, watch)
        }
        found => found,
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

fn trained(
    device: &dyn Device,
    model: &ModelProto,
    teaching: Teaching,
    schedule: Schedule,
    judge: &dyn Fn(&ModelProto) -> Result<f64>,
    watch: Watch,
) -> Result<Distilled> {
    let samples = samples_of_a_step(teaching.objectives);
    let most = teaching.most.clamp(1, samples);
    let opened = opened(device, model, teaching)?;
    let is_open = opened.is_some();
    let [teacher, pupil] = match &opened {
        Some([teacher, pupil]) => [teacher, pupil],
        None => [teaching.teacher, model],
    };
    let batches = |runs: &Range<usize>| Batches::new(teaching.data, runs.clone(), (most, is_open), schedule.seed);
    let (mut own, mut held) = (batches(teaching.runs), Some(batches(teaching.unseen)));
    let of = Gradients::of(device, pupil, &own.next(), teaching.objectives)?;
    let mut gradients = match of {
        Ok(gradients) => gradients,
        Err(stopped) => {
            return Ok(Distilled {
                model: None,
                steps: 0,
                losses: None,
                judged: Vec::new(),
                tensors: [0, stopped.weights],
                stopped_by: stopped.by,
            });
        }
    };
    let trained: Vec<Trainable> = gradients.weights().to_vec();
    let mut weights: Vec<Vec<f32>> = Vec::new();
    for weight in &trained {
        let values = weight.tensor.to_f32();
        weights.push(values.ok_or_else(|| Error::tensor(&weight.name, "holds no floats".to_owned()))?);
    }
    let sizes: Vec<f32> = weights.iter().map(|w| size(w)).collect();
    let mut moments: Vec<Adam> = weights.iter().map(|w| Adam::new(w.len())).collect();
    let mut teacher = device.runner(&encode(teacher))?;
    let computed = |weights: &[Vec<f32>]| -> Vec<Tensor> {
        let pairs = trained.par_iter().zip(weights);
        pairs.map(|(t, values)| t.computed(values)).collect()
    };
    let first = computed(&weights);
    let mut before = Judged {
        step: 0,
        loss: judge(model)?,
        on_views: None,
    };
    let (mut views, mut choice) = (None, None);
    let parts = samples.div_ceil(own.size()).max(1);
    let (mut planned, mut done) = (schedule.steps, 0);
    let started = Instant::now();
    // The first steps of a GPU take long, as it chooses its kernels then.
    let (mut timed, mut since, mut marked) = (TIMED, 0, started);
    while done < planned {
        watch.limit.check()?;
        let late = schedule.at_most.saturating_add(schedule.at_most / 4);
        if watch.limit.is_up() || (done >= TIMED && started.elapsed() > late) {
            break;
        }
        (watch.progress)(done, planned);
        let tensors = computed(&weights);
        let mut sum: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; w.len()]).collect();
        for _ in 0..parts {
            let inputs = own.next();
            let mut taught = teacher.run_tensors(&inputs)?;
            taught.extend(Objective::counts(teaching.objectives, &taught, own.size()));
            let (_, found) = gradients.at(&tensors, &inputs, &taught)?;
            let pairs = sum.par_iter_mut().zip(&found);
            pairs.for_each(|(into, from)| into.iter_mut().zip(from).for_each(|(a, g)| *a += g / parts as f32));
        }
        if sum.par_iter().flatten().any(|g| !g.is_finite()) {
            break;
        }
        let rate = rate(done, planned) as f32;
        let each = weights.par_iter_mut().zip(&sum).zip(&sizes).zip(&trained);
        each.zip(&mut moments)
            .for_each(|((((values, gradient), size), trained), adam)| {
                adam.step(values, gradient, rate * size);
                trained.hold(values);
            });
        done += 1;
        if done == timed && (done == TIMED || started.elapsed() < schedule.at_most / 2) {
            let each = marked.elapsed() / (done - since).max(1) as u32;
            let left = schedule.at_most.saturating_sub(started.elapsed());
            planned = done.saturating_add(fitting(left, each)).min(schedule.steps).max(TIMED);
            timed = (2 * done).min(planned.saturating_sub(1)).max(done + 1);
            (since, marked) = (done, Instant::now());
        }
        if done % planned.div_ceil(JUDGED) == 0 || done == planned {
            // How many steps there will be, and so how many views judging may take, is known by now.
            if let Some(batches) = held.take() {
                let count = (planned / (JUDGED * PER_VIEWS)).clamp(1, VIEWS);
                views = UnseenViews::of(batches, &mut teacher, teaching.objectives, count)?;
                before.on_views = on_views(&views, &mut gradients, &first)?;
            }
            let judged = Judged {
                step: done,
                loss: judge(&with_weights(model, &trained, &weights))?,
                on_views: on_views(&views, &mut gradients, &computed(&weights))?,
            };
            choice
                .get_or_insert_with(|| Choice::new(before))
                .offer(judged, &weights);
        }
    }
    (watch.progress)(planned, planned);
    let choice = choice.unwrap_or_else(|| Choice::new(before));
    Ok(Distilled {
        model: choice.taken().map(|weights| with_weights(model, &trained, weights)),
        steps: done,
        losses: Some(choice.losses()),
        judged: choice.all,
        tensors: [trained.len(), gradients.stopped.weights],
        stopped_by: gradients.stopped.by,
    })
}

/// What weights lose on other views, where there are any.
fn on_views(views: &Option<UnseenViews>, gradients: &mut Gradients, weights: &[Tensor]) -> Result<Option<f64>> {
    views.as_ref().map(|views| views.loss(gradients, weights)).transpose()
}

/// The model with these weights.
fn with_weights(model: &ModelProto, trained: &[Trainable], weights: &[Vec<f32>]) -> ModelProto {
    let mut copy = model.clone();
    let pairs = trained.iter().zip(weights);
    let stored: HashMap<&str, Tensor> = pairs.map(|(t, values)| t.stored(values)).collect();
    for proto in copy.graph.iter_mut().flat_map(|g| &mut g.initializer) {
        if let Some(tensor) = stored.get(proto.name()) {
            tensor.store(proto);
        }
    }
    copy
}
