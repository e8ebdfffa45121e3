//! Gradient steps, and which of the weights on the way are taken.

use std::collections::HashMap;

use super::choice::Judged;
use super::course::Course;
use super::ends::Trainable;
use super::teaching::{Schedule, Teaching};
use super::training::Training;
use crate::device::Device;
use crate::error::SessionErrorKind;
use crate::onnx::Tensor;
use crate::onnx::proto::ModelProto;
use crate::score::Watch;
use crate::{Error, Result};

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
    let run = match teaching.data.is_open() {
        true => (teaching.most / 4).max(1),
        false => teaching.data.batch(),
    };
    let work = Work {
        device,
        model,
        schedule,
        judge,
        watch,
    };
    match work.done(teaching) {
        // A device may hold a run, and no more.
        Err(Error::Session(why)) if why.kind == SessionErrorKind::OutOfMemory && teaching.most > run => {
            work.done(Teaching { most: run, ..teaching })
        }
        found => found,
    }
}

/// What is done whatever number of samples is run at once.
struct Work<'a> {
    device: &'a dyn Device,
    model: &'a ModelProto,
    schedule: Schedule,
    judge: &'a dyn Fn(&ModelProto) -> Result<f64>,
    watch: Watch<'a>,
}

impl Work<'_> {
    fn done(&self, teaching: Teaching) -> Result<Distilled> {
        let mut training = match Training::of(self.device, self.model, teaching, self.schedule.seed)? {
            Ok(training) => training,
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
        let loss = |training: &Training| (self.judge)(&with_weights(self.model, training.trained(), &training.weights));
        let mut course = Course::new((self.judge)(self.model)?, &loss, self.schedule, self.watch);
        course.run(&mut training)?;
        let (steps, choice) = course.ended();
        let best = choice.taken();
        Ok(Distilled {
            model: best.map(|weights| with_weights(self.model, training.trained(), weights)),
            steps,
            losses: Some(choice.losses()),
            tensors: [training.trained().len(), training.stopped().weights],
            stopped_by: training.stopped().by.clone(),
            judged: choice.all,
        })
    }
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
