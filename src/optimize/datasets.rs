//! The samples that a job was given, read once.

use std::sync::Arc;

use super::likeness::strange;
use super::memory::held_bytes;
use super::opened::Opened;
use super::options::SampleSource;
use super::reporter::{ProgressReporter, Step};
use super::sound::sound;
use crate::Result;
use crate::data::Dataset;
use crate::device::Device;
use crate::onnx::encode;
use crate::score::crossing_bytes;
use crate::verify::UserMetric;

/// Where a job's samples are.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleSources<'a> {
    /// Those that models are compared on.
    pub eval: Option<&'a SampleSource>,
    /// Those that are fitted on.
    pub calib: Option<&'a SampleSource>,
    /// What uses the labels.
    pub judged_by: JudgedBy,
}

/// What uses labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JudgedBy {
    /// Top-1 and top-5: labels are classes.
    #[default]
    Classes,
    /// A metric of the user's own, for which labels may be anything.
    UserMetric,
}

impl JudgedBy {
    /// By the user's own metric, where there is one.
    pub fn of(metric: Option<&Arc<dyn UserMetric>>) -> Self {
        metric.map_or(Self::Classes, |_| Self::UserMetric)
    }
}

/// Samples of a job.
#[derive(Debug, Default)]
pub struct Datasets {
    /// Those that models are compared on.
    pub eval: Option<Dataset>,
    /// Those that are fitted on; some of them judge.
    pub calib: Option<Dataset>,
    /// Samples for calibration that were not taken, as more would not have fit in memory.
    pub left_out: usize,
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
        sources: &SampleSources,
        reporter: &dyn ProgressReporter,
    ) -> Result<Self> {
        let SampleSources { eval, calib, judged_by } = sources;
        if eval.is_none() && calib.is_none() {
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
        let eval = eval.map(|source| {
            let data = source.read(specs)?;
            if *judged_by == JudgedBy::Classes {
                data.expect_classes(source.labels_path())?;
            }
            settled(data)
        });
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
        Ok(Self {
            eval: eval.transpose()?,
            calib: calib.transpose()?,
            left_out,
            notes,
        })
    }
}
