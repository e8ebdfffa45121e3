//! Gradient steps, and which of the weights on the way are taken.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::adam::Adam;
use super::batches::Batches;
use super::ends::Trainable;
use super::gradients::Gradients;
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
/// The largest step of a weight, over the root of the mean square of its tensor.
const RATE: f64 = 3e-3;
/// Tensors of smaller numbers count as of this size.
const SMALL: f32 = 1e-3;
/// The share of the steps in which the rate rises.
const WARM_UP: f64 = 0.1;
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
    /// What the model lost before, and what it loses with the weights that did best, on the samples that choose; no numbers where no weight
    /// can be trained.
    pub losses: [f64; 2],
    /// The same on other views of them, where there are any.
    pub on_views: Option<[f64; 2]>,
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
    match made(device, model, teaching, schedule, judge, watch) {
        // A device may hold a run, and no more.
        Err(Error::Session(_)) if teaching.most > run => {
            let fewer = Teaching { most: run, ..teaching };
            made(device, model, fewer, schedule, judge, watch)
        }
        found => found,
    }
}

fn made(
    device: &dyn Device,
    model: &ModelProto,
    teaching: Teaching,
    schedule: Schedule,
    judge: &dyn Fn(&ModelProto) -> Result<f64>,
    watch: Watch,
) -> Result<Distilled> {
    let samples = samples_of_a_step(teaching.objectives);
    let most = teaching.most.clamp(1, samples);
    let mut batches = Batches::new(teaching.data, teaching.runs.clone(), most, schedule.seed);
    let of = Gradients::of(device, model, &batches.next(), teaching.objectives)?;
    let mut gradients = match of {
        Ok(gradients) => gradients,
        Err(stopped) => {
            return Ok(Distilled {
                model: None,
                steps: 0,
                losses: [f64::NAN; 2],
                on_views: None,
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
    let mut teacher = device.runner(&encode(teaching.teacher))?;
    let before = judge(model)?;
    let held = Batches::new(teaching.data, teaching.unseen.clone(), most, schedule.seed);
    // How many steps fit into a limited time is not known yet.
    let count = match schedule.at_most {
        Duration::MAX => (schedule.steps / (JUDGED * PER_VIEWS)).clamp(1, VIEWS),
        _ => 1,
    };
    let views = UnseenViews::of(held, &mut teacher, teaching.objectives, count)?;
    let computed = |weights: &[Vec<f32>]| -> Vec<Tensor> {
        let pairs = trained.iter().zip(weights);
        pairs.map(|(t, values)| t.computed(values)).collect()
    };
    let views_before = match &views {
        Some(views) => Some(views.loss(&mut gradients, &computed(&weights))?),
        None => None,
    };
    let mut best = Best {
        score: 1.0,
        losses: (before, views_before),
        weights: None,
    };
    let parts = samples.div_ceil(batches.size()).max(1);
    let (mut planned, mut made) = (schedule.steps, 0);
    let started = Instant::now();
    // The first steps of a GPU take long, as it chooses its kernels then.
    let (mut timed, mut since, mut marked) = (TIMED, 0, started);
    while made < planned {
        watch.limit.check()?;
        let late = schedule.at_most.saturating_add(schedule.at_most / 4);
        if watch.limit.is_up() || (made >= TIMED && started.elapsed() > late) {
            break;
        }
        (watch.progress)(made, planned);
        let tensors = computed(&weights);
        let mut sum: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; w.len()]).collect();
        for _ in 0..parts {
            let inputs = batches.next();
            let mut taught = teacher.run_tensors(&inputs)?;
            taught.extend(Objective::counts(teaching.objectives, &taught, batches.size()));
            let (_, found) = gradients.at(&tensors, &inputs, &taught)?;
            for (into, from) in sum.iter_mut().zip(&found) {
                into.iter_mut().zip(from).for_each(|(a, g)| *a += g / parts as f32);
            }
        }
        if sum.iter().flatten().any(|g| !g.is_finite()) {
            break;
        }
        let rate = rate(made, planned) as f32;
        let each = weights.iter_mut().zip(&sum).zip(&sizes).zip(&trained);
        for ((((values, gradient), size), trained), adam) in each.zip(&mut moments) {
            adam.step(values, gradient, rate * size);
            trained.hold(values);
        }
        made += 1;
        if made == timed && (made == TIMED || started.elapsed() < schedule.at_most / 2) {
            let each = marked.elapsed() / (made - since).max(1) as u32;
            let left = schedule.at_most.saturating_sub(started.elapsed());
            planned = made.saturating_add(fitting(left, each)).min(schedule.steps).max(TIMED);
            timed = (2 * made).min(planned.saturating_sub(1)).max(made + 1);
            (since, marked) = (made, Instant::now());
        }
        if made % planned.div_ceil(JUDGED) == 0 || made == planned {
            let loss = judge(&with_weights(model, &trained, &weights))?;
            let on_views = match &views {
                Some(views) => Some(views.loss(&mut gradients, &computed(&weights))?),
                None => None,
            };
            let score = mean_ratio((loss, on_views), (before, views_before));
            if score < best.score {
                best = Best {
                    score,
                    losses: (loss, on_views),
                    weights: Some(weights.clone()),
                };
            }
        }
    }
    (watch.progress)(planned, planned);
    Ok(Distilled {
        model: best.weights.map(|weights| with_weights(model, &trained, &weights)),
        steps: made,
        losses: [before, best.losses.0],
        on_views: views_before.zip(best.losses.1).map(<[f64; 2]>::from),
        tensors: [trained.len(), gradients.stopped.weights],
        stopped_by: gradients.stopped.by,
    })
}

/// The weights that did best so far.
struct Best {
    /// What they lose over what those from before lose.
    score: f64,
    /// What they lose by the judge, and on other views.
    losses: (f64, Option<f64>),
    /// `None`: those from before.
    weights: Option<Vec<Vec<f32>>>,
}

/// Losses below this one count as none: differences of them are rounding.
const NO_LOSS: f64 = 1e-6;
/// What weights may lose by the judge over what those from before lose, where they lose less in the mean.
const MOST_JUDGED: f64 = 1.25;

/// What weights lose over what others lose, by the judge and on other views alike; infinite where they lose far more by the judge.
fn mean_ratio(losses: (f64, Option<f64>), before: (f64, Option<f64>)) -> f64 {
    let ratio = |now: f64, then: f64| (now.max(0.0) + NO_LOSS) / (then.max(0.0) + NO_LOSS);
    let judged = ratio(losses.0, before.0);
    let mean = match losses.1.zip(before.1) {
        Some((now, then)) if now.is_finite() => 0.5 * (judged + ratio(now, then)),
        Some(_) => f64::INFINITY,
        None => judged,
    };
    if judged <= MOST_JUDGED { mean } else { f64::INFINITY }
}

/// How many steps that take `each` fit into a time.
fn fitting(time: Duration, each: Duration) -> usize {
    usize::try_from(time.as_nanos() / each.as_nanos().max(1)).unwrap_or(usize::MAX)
}

/// A rate that rises and then falls as half a cosine (Loshchilov and Hutter, 2017).
fn rate(step: usize, of: usize) -> f64 {
    let (step, of) = (step as f64, of.max(1) as f64);
    let rise = ((step + 1.0) / (WARM_UP * of).max(1.0)).min(1.0);
    RATE * rise * 0.5 * (1.0 + (std::f64::consts::PI * step / of).cos())
}

/// The root of the mean square: layers with many inputs have small weights, which take small steps (You et al., 2020).
fn size(weights: &[f32]) -> f32 {
    let squares: f32 = weights.iter().map(|w| w * w).sum();
    (squares / weights.len().max(1) as f32).sqrt().max(SMALL)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{RATE, fitting, mean_ratio, rate};

    #[test]
    fn as_many_steps_as_fit() {
        let ms = Duration::from_millis;
        assert_eq!((fitting(ms(1000), ms(30)), fitting(ms(10), ms(30))), (33, 0));
        assert_eq!(fitting(Duration::MAX, Duration::ZERO), usize::MAX);
    }

    #[test]
    fn weights_are_judged_in_the_mean() {
        // A little more by the judge for much less on views; far more never; nothing lost stays nothing.
        assert!(mean_ratio((1.1, Some(0.5)), (1.0, Some(1.0))) < 1.0);
        assert!(mean_ratio((1.5, Some(0.1)), (1.0, Some(1.0))) > 1.0);
        assert!(mean_ratio((0.9, None), (1.0, None)) < 1.0 && mean_ratio((1.1, None), (1.0, None)) > 1.0);
        assert!((mean_ratio((0.0, Some(-1e-9)), (0.0, Some(0.0))) - 1.0).abs() < 1e-9);
        assert!(mean_ratio((0.5, Some(f64::NAN)), (1.0, Some(1.0))) > 1.0);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        assert!(rate(0, 100) < 0.2 * RATE && rate(10, 100) > 0.9 * RATE);
        assert!(rate(99, 100) < 0.01 * RATE && rate(0, 1) > 0.0);
    }
}
