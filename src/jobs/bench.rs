//! Latencies of models side by side.

use std::path::PathBuf;
use std::sync::Arc;

use super::device::DeviceSettings;
use super::files::note_order;
use super::turn::take_turn;
use crate::data::Dataset;
use crate::device::{
    Device, DeviceInfo, InputSpec, NamedTensor, Runtime, ShapeOptions, Stop, WhenBusy, input_specs, random_inputs,
    unsettled,
};
use crate::onnx::{Graph, load_as, parse};
use crate::optimize::{Judging, ProgressReporter, SampleSource, Step, judged, labels_serve};
use crate::score::LossSpec;
use crate::task::TaskKind;
use crate::verify::{
    Certainty, Effort, Entry, MetricJudge, Task, UserMetric, answers, benchmark_workloads, classes, task_of,
};
use crate::{Error, Result};

/// Settings of a benchmark.
#[derive(Clone, Debug)]
pub struct BenchSettings {
    /// The models; all take the same inputs.
    pub models: Vec<PathBuf>,
    /// The device and the library.
    pub device: DeviceSettings,
    /// What to do while another process times on the device.
    pub on_busy: WhenBusy,
    /// The input shapes.
    pub shapes: ShapeOptions,
    /// Real inputs with labels, for the accuracy of every model.
    pub eval: Option<SampleSource>,
    /// The models' task.
    pub judging: Judging,
    /// A metric of the user's own, on those.
    pub metric: Option<Arc<dyn UserMetric>>,
    /// Seconds to measure, about.
    pub seconds: f64,
    /// Seed of the random inputs.
    pub seed: u64,
}

/// Shares of samples, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// The best class is the label.
    pub top1: f64,
    /// The label is one of the five best classes.
    pub top5: f64,
}

/// How a model's classes compare, on the same samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassesCompared {
    /// With the labels; `None` for a model without classes, or without labels.
    pub accuracy: Option<Accuracy>,
    /// With those of the first model: the share of samples that get the same one; `None` where either has no classes.
    pub same: Option<f64>,
}

/// Latencies of models side by side.
#[derive(Debug)]
pub struct BenchOutcome {
    /// The device.
    pub device: DeviceInfo,
    /// The device in words.
    pub described: String,
    /// Times of each model.
    pub entries: Vec<Entry>,
    /// Classes of each model; empty without real inputs, and for other tasks.
    pub classes: Vec<ClassesCompared>,
    /// What the user's own metric gives for each model; empty without one.
    pub scores: Vec<f64>,
    /// How each does at another task than classes: held against the answers of the first, and by the labels.
    pub tasks: Vec<Option<Task>>,
}

/// Times models in turns, on random inputs.
///
/// # Errors
/// When a model or the data cannot be read, models take different inputs, or a run fails.
pub fn bench(settings: &BenchSettings, stop: &Stop, reporter: &dyn ProgressReporter) -> Result<BenchOutcome> {
    let runtime = settings.device.runtime(stop)?;
    let device = settings.device.open(&runtime)?;
    let models = Models::read(settings, reporter)?;
    // What cannot work is told before anything is timed.
    settings.metric.iter().try_for_each(|metric| metric.prepare(stop))?;
    let compared = Compared::read(settings, device.as_ref(), &models, reporter)?;
    let inputs = [(random_inputs(&models.specs, settings.seed, 1.0)?, 1.0)];
    let entries = timed(settings, &runtime, device.as_ref(), &models, &inputs, reporter)?;
    Ok(BenchOutcome {
        classes: compared_classes(compared.as_ref(), settings, device.as_ref(), &models, reporter)?,
        tasks: tasks(compared.as_ref(), device.as_ref(), &models)?,
        scores: scores(compared.as_ref(), settings, device.as_ref(), &models)?,
        device: device.info().clone(),
        described: settings.device.describe(device.as_ref()),
        entries,
    })
}

/// Models with the same inputs.
struct Models {
    bytes: Vec<bytes::Bytes>,
    specs: Vec<InputSpec>,
}

impl Models {
    fn read(settings: &BenchSettings, reporter: &dyn ProgressReporter) -> Result<Self> {
        let mut models = Self {
            bytes: Vec::new(),
            specs: Vec::new(),
        };
        for path in &settings.models {
            let model = load_as(path, &settings.shapes.reading)?;
            note_order(path, &model, reporter);
            let specs = input_specs(&Graph::new(model.graph()?)?, &settings.shapes)?;
            let (shape, first) = (shape(&specs), shape(&models.specs));
            if models.bytes.is_empty() {
                models.specs = specs;
            } else if shape != first {
                return Err(Error::Usage(format!(
                    "{} takes {shape:?}, the first model {first:?}; bench compares models with the same inputs",
                    path.display()
                )));
            }
            models.bytes.push(model.into_bytes());
        }
        Ok(models)
    }
}

fn shape(specs: &[InputSpec]) -> Vec<(String, Vec<usize>)> {
    specs.iter().map(|s| (s.name.clone(), s.dims.clone())).collect()
}

fn timed(
    settings: &BenchSettings,
    runtime: &Runtime,
    device: &dyn Device,
    models: &Models,
    inputs: &[(Vec<NamedTensor>, f64)],
    reporter: &dyn ProgressReporter,
) -> Result<Vec<Entry>> {
    let bytes: Vec<&[u8]> = models.bytes.iter().map(|m| &m[..]).collect();
    let turn = take_turn(device, settings.on_busy, &runtime.stop, reporter)?;
    reporter.step(Step::MeasureModels);
    let progress = |done, total| reporter.progress(done, total);
    let entries = benchmark_workloads(
        device.require_timer()?,
        &bytes,
        inputs,
        Effort::thorough(settings.seconds),
        &progress,
    );
    drop(turn);
    entries.map_err(|e| unsettled(&models.specs, e))
}

/// Samples that models are compared on.
struct Compared {
    data: Dataset,
    /// How the first model's outputs are read.
    judged: LossSpec,
}

impl Compared {
    fn read(
        settings: &BenchSettings,
        device: &dyn Device,
        models: &Models,
        reporter: &dyn ProgressReporter,
    ) -> Result<Option<Self>> {
        let (Some(source), Some(first)) = (&settings.eval, models.bytes.first()) else {
            return Ok(None);
        };
        let data = source.read(&models.specs)?.settled(device, first)?;
        let proto = parse(first.clone())?.proto;
        let judged = judged(&proto, &models.specs, device, Some(&data), &settings.judging)?;
        if settings.metric.is_none() {
            labels_serve(&data, &judged, source, reporter)?;
        }
        Ok(Some(Self { data, judged }))
    }

    /// Whether they are compared by classes.
    fn of_classes(&self) -> bool {
        let kind = self.judged.reading.as_ref().map(|r| r.kind);
        kind.is_none_or(|kind| kind == TaskKind::Classify)
    }
}

/// The numbers of another task than classes for each model, held against the first one's answers and the labels.
fn tasks(compared: Option<&Compared>, device: &dyn Device, models: &Models) -> Result<Vec<Option<Task>>> {
    let Some(compared) = compared.filter(|c| !c.of_classes()) else {
        return Ok(Vec::new());
    };
    let reading = compared.judged.reading.as_ref();
    let of = |model: &[u8]| {
        let data = compared.data.clone().settled(device, model)?;
        answers(device, model, &data, reading, &|_, _| {})
    };
    let all = models.bytes.iter().map(|model| of(model)).collect::<Result<Vec<_>>>()?;
    let Some(first) = all.first() else {
        return Ok(Vec::new());
    };
    Ok(all.iter().map(|own| task_of(first, own, Certainty::Unknown)).collect())
}

/// The classes of each model, held against the labels and those of the first one.
fn compared_classes(
    compared: Option<&Compared>,
    settings: &BenchSettings,
    device: &dyn Device,
    models: &Models,
    reporter: &dyn ProgressReporter,
) -> Result<Vec<ClassesCompared>> {
    let Some(Compared { data, .. }) = compared.filter(|c| c.of_classes()) else {
        return Ok(Vec::new());
    };
    data.notes().iter().for_each(|note| reporter.note(note));
    let mut first: Option<Vec<Vec<usize>>> = None;
    let of = |(path, model): (&PathBuf, &bytes::Bytes)| {
        let own = data.clone().settled(device, model)?;
        let notes = own.notes().iter().skip(data.notes().len());
        notes.for_each(|note| reporter.note(&format!("{}: {note}", path.display())));
        let found = classes(device, model, &own, &|_, _| {})?;
        let share = |n: usize| n as f64 / found.best.len().max(1) as f64;
        let accuracy = found.right.map(|(one, five)| Accuracy {
            top1: share(one),
            top5: share(five),
        });
        let first = first.get_or_insert_with(|| found.best.clone());
        let told = first.len() == found.best.len() && !found.best.is_empty();
        let same = first
            .iter()
            .zip(&found.best)
            .filter(|(a, b)| a.first() == b.first())
            .count();
        Ok(ClassesCompared {
            accuracy,
            same: told.then(|| share(same)),
        })
    };
    settings.models.iter().zip(&models.bytes).map(of).collect()
}

/// What the user's own metric gives for each model, held against the first.
fn scores(
    compared: Option<&Compared>,
    settings: &BenchSettings,
    device: &dyn Device,
    models: &Models,
) -> Result<Vec<f64>> {
    let (Some(metric), Some(Compared { data, .. })) = (&settings.metric, compared) else {
        return Ok(Vec::new());
    };
    let Some((first, others)) = models.bytes.split_first() else {
        return Ok(Vec::new());
    };
    let judge = MetricJudge::of(metric.clone(), device, first, data, &|_, _| {})?;
    let mut scores = vec![judge.original()];
    for model in others {
        scores.push(judge.compared(model, &|_, _| {})?.rewritten);
    }
    Ok(scores)
}
