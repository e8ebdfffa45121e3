//! The samples that a job was given, read once.

use std::sync::Arc;

use super::judged::{judged, labels_serve};
use super::likeness::strange;
use super::memory::held_bytes;
use super::opened::Opened;
use super::options::{Judging, SampleSource};
use super::reporter::{ProgressReporter, Step};
use super::sound::sound;
use crate::Result;
use crate::data::Dataset;
use crate::device::Device;
use crate::onnx::encode;
use crate::score::{LossSpec, crossing_bytes};
use crate::task::{How, TaskKind};
use crate::verify::UserMetric;

/// Where a job's samples are.
#[derive(Clone, Copy, Debug)]
pub struct SampleSources<'a> {
    /// Those that models are compared on.
    pub eval: Option<&'a SampleSource>,
    /// Those that are fitted on.
    pub calib: Option<&'a SampleSource>,
    /// What uses the labels.
    pub judged_by: JudgedBy,
    /// The task, and the weights of outputs.
    pub judging: &'a Judging,
}

/// What uses labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JudgedBy {
    /// The numbers of the model's task: labels are its own.
    #[default]
    Task,
    /// A metric of the user's own, for which labels may be anything.
    UserMetric,
}

impl JudgedBy {
    /// By the user's own metric, where there is one.
    pub fn of(metric: Option<&Arc<dyn UserMetric>>) -> Self {
        metric.map_or(Self::Task, |_| Self::UserMetric)
    }
}

/// Samples of a job.
#[derive(Debug, Default)]
pub struct Datasets {
    /// Those that models are compared on.
    pub eval: Option<Dataset>,
    /// Those that plans are searched on, where these are others than `eval`.
    pub searched: Option<Dataset>,
    /// Those that are fitted on; some of them judge.
    pub calib: Option<Dataset>,
    /// Samples for calibration that were not taken, as more would not have fit in memory.
    pub left_out: usize,
    /// How outputs are judged.
    pub judged: LossSpec,
    /// What the user should know of the samples for calibration.
    pub notes: Vec<String>,
}

impl Datasets {
    /// Reads samples that models are compared on and samples that are fitted on, before anything is measured.
    ///
    /// # Errors
    /// Those of [`Dataset::read`], and when the model cannot be run on them.
    pub fn read(
        opened: &Opened,
        device: &dyn Device,
        sources: SampleSources,
        reporter: &dyn ProgressReporter,
    ) -> Result<Self> {
        let SampleSources {
            eval,
            calib,
            judged_by,
            judging,
        } = sources;
        if eval.is_none() && calib.is_none() && judging.is_empty() {
            return Ok(Self::default());
        }
        reporter.step(Step::ReadSamples);
        let model = encode(&opened.proto);
        let specs = &opened.specs;
        let settled = |data: Dataset| {
            let data = data.settled(device, &model)?;
            data.notes().iter().for_each(|note| reporter.note(note));
            Ok::<_, crate::Error>(data)
        };
        let (mut left_out, mut notes) = (0, Vec::new());
        let source = eval;
        let eval = eval.map(|source| settled(source.read(specs)?));
        let calib = calib.map(|source| {
            let data = source.read(specs)?.at_most(source.at_most);
            // Two networks are run, each with what crosses one of its places held for all samples.
            let each = crossing_bytes(&opened.graph()?, &opened.analysis, data.declared());
            let fits = (held_bytes() / (2 * each).max(1)) as usize;
            let asked = data.count();
            let data = settled(data.at_most_alike(fits.max(1)))?;
            left_out = asked - data.count().min(asked);
            sound(&data, &source.path, device, &model, reporter)?;
            let strange = match strange(&data, device, &opened.proto) {
                Err(crate::Error::Stopped) => return Err(crate::Error::Stopped),
                // What only informs does not end a job.
                found => found.unwrap_or_default(),
            };
            if !strange.is_empty() {
                notes.push(format!(
                    "the samples of {} do not look like what the model was made for: {}. What is measured on them, agreement too, may tell \
                     nothing of real inputs; check how they are scaled and laid out",
                    source.path.display(),
                    strange.join("; ")
                ));
            }
            if left_out > 0 {
                notes.push(format!(
                    "{left_out} of {asked} samples for calibration were left out, spread evenly: what crosses the widest place of the \
                     network for more of them would not fit in the memory set aside"
                ));
            }
            notes.iter().for_each(|note| reporter.note(note));
            Ok::<_, crate::Error>(data)
        });
        let (eval, calib) = (eval.transpose()?, calib.transpose()?);
        let judged = judged(&opened.proto, specs, device, calib.as_ref().or(eval.as_ref()), judging)?;
        let read = judged.reading.as_ref().map(|r| (&r.how, r.kind));
        if let Some((How::Values, kind)) = read.filter(|(_, kind)| *kind != TaskKind::Regress) {
            let note = format!(
                "the outputs have no layout of the task {kind} that is known: they are compared number by number"
            );
            reporter.note(&note);
            notes.push(note);
        }
        if let (Some(eval), Some(source), JudgedBy::Task) = (&eval, source, judged_by) {
            labels_serve(eval, &judged, source, reporter)?;
        }
        Ok(Self {
            judged,
            searched: None,
            eval,
            calib,
            left_out,
            notes,
        })
    }
}

impl Datasets {
    /// Divides the samples that models are compared on: a search that measures its plans on samples sees one half, and what it found is
    /// judged on the other.
    pub(super) fn divide(&mut self, seed: u64) {
        let Some((searched, eval)) = self.eval.as_ref().and_then(|e| e.halves(seed)) else {
            return;
        };
        self.searched = Some(searched);
        self.eval = Some(eval);
    }
}
